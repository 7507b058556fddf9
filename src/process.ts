/** The one place that spawns host programs. Argument vectors only: no shell, nowhere. */
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { execa, type Options, type Result } from 'execa'
import { NspawnError } from './errors.ts'
import type { LogSink } from './log.ts'
import { withoutPasswords } from './url-secrets.ts'

export interface ProgramOptions {
  readonly cwd?: string | undefined
  /** The whole environment of the program; the caller's is passed only where named here. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly input?: string | Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
  /** Every line of output goes here as an `output` event. */
  readonly log?: LogSink | undefined
  /** Exit statuses that are not a failure; default `[0]`. */
  readonly accept?: readonly number[] | undefined
  /**
   * What an abort does to the program, given its pid; default SIGTERM. The call still waits for its end.
   */
  readonly terminate?: ((pid: number) => void) | undefined
  /** `ignore`: what it prints is not kept, however much that is. */
  readonly stdout?: 'ignore' | undefined
  /** Whom it runs as, without groups besides; default the caller. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** One sentence on what to try when it fails. */
  readonly hint?: string | undefined
}

export interface ProgramResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

const inherited = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TERM',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'TMPDIR',
]

/** The caller's environment cut down to what a host program needs. */
export function programEnvironment(
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const env: Record<string, string> = {}
  for (const name of inherited) {
    const value = process.env[name]
    if (value !== undefined) env[name] = value
  }
  return { ...env, ...extra }
}

/**
 * Runs a host program to its end.
 *
 * @param step what it is run for, in words: the message of the error ("cannot create file system")
 * @param argv program and arguments; the program is looked up in PATH
 * @throws NspawnError with the program as operation, its exit status, and the last lines of stderr;
 *   code `PROGRAM_NOT_FOUND` when it is not installed
 */
export async function runProgram(
  step: string,
  argv: readonly [string, ...string[]],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const [program, ...args] = argv
  const lines = (stream: 'stdout' | 'stderr') =>
    function* (line: unknown) {
      options.log?.({ kind: 'output', stream, line: withoutPasswords(String(line)) })
      yield line
    }
  const settings: Options = {
    reject: false,
    extendEnv: false,
    env: { ...(options.env ?? programEnvironment()) },
    stripFinalNewline: true,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...options.user,
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.signal === undefined || options.terminate !== undefined
      ? {}
      : { cancelSignal: options.signal }),
    ...(options.stdout === undefined ? {} : { stdout: options.stdout }),
    ...(options.log === undefined ? {} : { stdout: lines('stdout'), stderr: lines('stderr') }),
  }
  const aborted = () => options.signal?.aborted === true
  if (aborted()) throw new NspawnError(step, { code: 'CANCELED', operation: program })
  const running = execa(program, args, settings)
  const terminate = () => {
    if (running.pid !== undefined) options.terminate?.(running.pid)
  }
  options.signal?.addEventListener('abort', terminate)
  const result: Result = await running
  options.signal?.removeEventListener('abort', terminate)
  const stdout = String(result.stdout ?? '')
  const stderr = String(result.stderr ?? '')
  if (result.isCanceled || (options.terminate !== undefined && aborted()))
    throw new NspawnError(step, { code: 'CANCELED', operation: program })
  if (result.exitCode === undefined) {
    const code = (result.cause as NodeJS.ErrnoException | undefined)?.code
    if (code === 'ENOENT') {
      throw new NspawnError(step, {
        code: 'PROGRAM_NOT_FOUND',
        operation: program,
        hint: options.hint ?? `install ${program}, then try again`,
      })
    }
    throw new NspawnError(
      `${step}: ${program} ended by ${result.signal ?? code ?? 'an unknown cause'}`,
      { code: 'PROGRAM_KILLED', operation: program },
    )
  }
  if (!(options.accept ?? [0]).includes(result.exitCode)) {
    const tail = (stderr || stdout).trim().split('\n').slice(-5).join('\n  ')
    throw new NspawnError(withoutPasswords(tail === '' ? step : `${step}: ${tail}`), {
      code: 'PROGRAM_FAILED',
      operation: withoutPasswords(argv.join(' ')),
      status: result.exitCode,
      hint: options.hint,
    })
  }
  return { status: result.exitCode, stdout, stderr }
}

/**
 * Runs a program that talks to the user itself: it has the terminal, and the caller's whole environment.
 *
 * @returns its exit status
 * @throws NspawnError when it cannot be started, or a signal ended it
 */
export async function runInTerminal(
  step: string,
  argv: readonly [string, ...string[]],
): Promise<number> {
  const [file, ...args] = argv
  const { exitCode, cause, signal } = await execa(file, args, { reject: false, stdio: 'inherit' })
  if (exitCode !== undefined) return exitCode
  const { code = 'PROGRAM_KILLED' } = (cause ?? {}) as NodeJS.ErrnoException
  throw new NspawnError(signal === undefined ? step : `${step}: ${file} ended by ${signal}`, {
    code: code === 'ENOENT' ? 'PROGRAM_NOT_FOUND' : code,
    operation: file,
  })
}

/** A program that runs on without us. */
export interface DetachedProgram {
  readonly pid: number
  /** Settles when it has ended, should we still be there, with how; never rejects. */
  readonly ended: Promise<string>
}

/**
 * Starts a program in a session of its own, which goes on when this process ends.
 *
 * @param log descriptor for stdout and stderr; stdin is empty
 * @throws NspawnError when it cannot be started
 */
export async function startDetached(
  step: string,
  argv: readonly [string, ...string[]],
  options: { readonly log: number; readonly env: Readonly<Record<string, string>> },
): Promise<DetachedProgram> {
  const [file, ...args] = argv
  const { log, env } = options
  try {
    const stdio = ['ignore' as const, log, log]
    const running = spawn(file, args, { cwd: '/', detached: true, env, stdio })
    running.unref()
    const ended = endOf(running)
    await once(running, 'spawn')
    return { pid: running.pid as number, ended }
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException
    throw new NspawnError(step, { code, operation: file })
  }
}

/** A program of ours that waits for orders, for as long as this process lives. */
export interface Attendant {
  /** Settles when it has ended, with how; never rejects. */
  readonly ended: Promise<string>
}

/**
 * Starts a program of ours that outlives the call, and does not keep this process alive.
 *
 * @param fd becomes the program's stdin
 */
export function startAttendant(argv: readonly [string, ...string[]], fd: number): Attendant {
  const [file, ...args] = argv
  // execa would pass the descriptor on too, but its types only know those that it makes a stream of.
  const running = spawn(file, args, { stdio: [fd, 'ignore', 'inherit'] })
  running.unref()
  return { ended: endOf(running) }
}

/** A program that turns one stream of bytes into another. */
export interface Filter {
  /** Its stdin. An error of it (`EPIPE`) says no more than that the program takes nothing any longer. */
  readonly input: Writable
  /** Settles when it has ended and was reaped, with how and its last words; never rejects. */
  readonly ended: Promise<{ readonly how: string; readonly ok: boolean; readonly stderr: string }>
  kill(): void
}

const STDERR_KEPT = 4096

/**
 * Starts a host program as a filter.
 *
 * @param stdout descriptor that its output goes to; the caller closes its own copy
 */
export function startFilter(
  argv: readonly [string, ...string[]],
  stdout: number,
  { cwd, env, user }: Pick<ProgramOptions, 'cwd' | 'env' | 'user'> = {},
): Filter {
  const [file, ...args] = argv
  // The types know no descriptors there.
  const running = spawn(file, args, {
    cwd,
    ...user,
    // Its messages end up in ours, which are English.
    env: env ?? programEnvironment({ LC_ALL: 'C' }),
    stdio: ['pipe', stdout, 'pipe'],
  }) as ChildProcessByStdio<Writable, null, Readable>
  let stderr = ''
  running.stderr.setEncoding('utf8')
  running.stderr.on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_KEPT)
  })
  const input = running.stdin
  input.on('error', () => undefined)
  const closed = new Promise((resolve) => running.once('close', resolve))
  return {
    input,
    ended: endOf(running).then(async (how) => {
      if (running.pid !== undefined) await closed
      return { how, ok: running.exitCode === 0, stderr: stderr.trim() }
    }),
    kill: () => running.kill('SIGKILL'),
  }
}

/** How a program ended, once it has. */
function endOf(running: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    running.on('error', (error) => resolve(error.message))
    running.on('exit', (status, signal) => resolve(signal ?? `exit status ${status}`))
  })
}
