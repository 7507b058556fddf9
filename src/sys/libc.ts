/**
 * The C library through koffi, and how its failures become errors.
 *
 * koffi's native module is loaded straight from its platform package: its own loader searches a dozen
 * places, which costs 8 ms of a start of 30. Everything in `sys/` declares its prototypes with `lazyFunction()`.
 */
import { createRequire } from 'node:module'
import { existsSync, readdirSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { errnoName } from './errno.ts'

interface Koffi {
  load(path: string | null): { func(prototype: string): NativeFunction }
  errno(value?: number): number
}

// oxlint-disable-next-line typescript/no-explicit-any -- a C function takes what its prototype says
export type NativeFunction = (...args: any[]) => any

const requireHere = createRequire(import.meta.url)

function loadKoffi(): Koffi {
  const platform = `linux-${process.arch}`
  const musl = existsSync('/lib') && readdirSync('/lib').some((name) => name.startsWith('ld-musl-'))
  const triplet = `${musl ? 'musl' : 'linux'}_${process.arch}`
  try {
    return requireHere(`@koromix/koffi-${platform}/${triplet}/koffi.node`) as Koffi
  } catch {
    return requireHere('koffi') as Koffi
  }
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
