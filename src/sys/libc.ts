/**
 * The C library through koffi, and how its failures become errors.
 *
 * koffi's native module is opened straight from its platform package: its own loader searches a dozen
 * places, and Node's `require` takes as long as the opening. Everything in `sys/` declares its prototypes with
 * `lazyFunction()`.
 */
import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { errnoName } from './errno.ts'

interface Koffi {
  load(path: string | null): { func(prototype: string): NativeFunction }
  errno(value?: number): number
}

// oxlint-disable-next-line typescript/no-explicit-any -- a C function takes what its prototype says
export type NativeFunction = (...args: any[]) => any

function loadKoffi(): Koffi {
  const here = import.meta.filename
  for (let dir = dirname(here); ; dir = dirname(dir)) {
    for (const triplet of triplets()) {
      const file = `node_modules/@koromix/koffi-linux-${process.arch}/${triplet}/koffi.node`
      const module = { exports: {} }
      try {
        process.dlopen(module, join(dir, file))
        return module.exports as Koffi
      } catch {
        // Not here, or made for the other C library.
      }
    }
    if (dir === '/') return createRequire(here)('koffi') as Koffi
  }
}

/** The likelier one first: musl's loader may also be installed beside the GNU C library. */
function triplets(): string[] {
  const gnu = `linux_${process.arch}`
  const loader = `/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`
  return existsSync(loader) ? [`musl_${process.arch}`, gnu] : [gnu]
}

export const koffi = loadKoffi()
export const libc = koffi.load(null)

/** Where a failure happened, for `fail()`. */
export interface FailureContext {
  /** What was being done, in words ("cannot mount proc"). Default: the operation's name. */
  readonly step?: string | undefined
  readonly path?: string | undefined
  readonly hint?: string | undefined
}

/**
 * Throws the error that errno stands for. Call it at once after the failing call, before anything
 * else can overwrite errno.
 */
export function fail(operation: string, context: FailureContext = {}): never {
  const code = errnoName(koffi.errno())
  throw new NspawnError(context.step ?? `${operation} failed`, {
    code,
    operation,
    subject: context.path,
    hint: context.hint,
  })
}

/** errno of the last call made through koffi. */
export function lastErrno(): number {
  return koffi.errno()
}
