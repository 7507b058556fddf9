/**
 * Starts a bundle whose functions have all been compiled before. V8 compiles a function when it is called
 * first, and the forked child of a container would do that at every start anew, since what it learns dies
 * with it; so all of them are compiled once and kept as V8's own cache of code.
 *
 * In: a bundle written by `scripts/bundle.ts`. Out: its exports. The cache is only ever an aid: when it is
 * missing, of another version, not ours, or cannot be written, the bundle is compiled as usual.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import type v8 from 'node:v8'
import { constants, Script } from 'node:vm'
import { hasForkSafeFlags } from '../runtime/fork-safe-flags.ts'

/** A bundle begins with its digest in a comment, so that a cache can be told from that of another build. */
const DIGEST_AT = '/*'.length
const DIGEST_LENGTH = 32

type Wrapped = (require: NodeJS.Require, module: { exports: unknown }, filename: string) => void

/**
 * Loads `file`.
 *
 * @param directory where the code is kept; undefined keeps none
 * @returns what it exports
 */
export function loadBundle(file: string, directory = cacheDirectory()): unknown {
  // ASCII by the bundler's word, and one byte a character is the cheapest form of a string.
  const source = readFileSync(file, 'latin1')
  const module = { exports: {} as unknown }
  const run = compile(file, source, directory).runInThisContext() as Wrapped
  run(createRequire(file), module, file)
  return module.exports
}

function compile(file: string, source: string, directory: string | undefined): Script {
  const options = {
    filename: file,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }
  if (directory === undefined) return new Script(source, options)
  const digest = source.slice(DIGEST_AT, DIGEST_AT + DIGEST_LENGTH)
  const cache = join(directory, `${basename(file, '.cjs')}-${process.version}-${process.arch}.code`)
  const cachedData = readCode(cache, digest)
  if (cachedData !== undefined) {
    const script = new Script(source, { ...options, cachedData })
    // V8 remembers what it has just compiled as far as it was needed, so the next start makes a new one.
    if (script.cachedDataRejected === true) tryUnlink(cache)
    return script
  }
  // Loading it takes 2 ms, which only this start has to pay.
  const { setFlagsFromString } = createRequire(file)('node:v8') as typeof v8
  setFlagsFromString('--no-lazy')
  const script = new Script(source, options)
  setFlagsFromString('--lazy')
  keepCode(cache, script.createCachedData(), digest)
  return script
}

/** A directory of the caller's own: whoever can write a cache of code decides what runs. */
function cacheDirectory(): string | undefined {
  // Without the flags the program is about to be started anew with them, and V8 keeps their code apart.
  if (!hasForkSafeFlags()) return undefined
  if (process.getuid?.() === 0) return '/var/cache/tsnspawn'
  const { XDG_CACHE_HOME: cache, HOME: home } = process.env
  if (cache !== undefined && cache !== '') return join(cache, 'tsnspawn')
  return home === undefined || home === '' ? undefined : join(home, '.cache/tsnspawn')
}

function readCode(path: string, digest: string): Buffer | undefined {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    const { uid, mode } = fstatSync(fd)
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) return undefined
    const bytes = readFileSync(fd)
    const end = bytes.length - DIGEST_LENGTH
    return bytes.toString('latin1', end) === digest ? bytes.subarray(0, end) : undefined
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

function keepCode(path: string, code: Buffer, digest: string): void {
  const unfinished = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const fd = openSync(unfinished, 'wx', 0o600)
    writeFileSync(fd, Buffer.concat([code, Buffer.from(digest, 'latin1')]))
    // V8 trusts the bytes: half of them, after a loss of power, must not come under the name.
    fsyncSync(fd)
    closeSync(fd)
    renameSync(unfinished, path)
  } catch {
    tryUnlink(unfinished)
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It was never made, or is somebody else's to remove.
  }
}
