/** Runs both runtimes, and the tools of the machine. Nothing here waits forever. */
import { execa } from 'execa'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'

/** An emulated processor is slow: nothing that is well takes a third of it. */
const LIMIT_MS = 90_000

export interface Ended {
  /** Undefined for one that a signal has ended. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export async function call(...[program, ...args]: readonly [string, ...string[]]): Promise<Ended> {
  const options = { reject: false, stdin: 'ignore', timeout: LIMIT_MS } as const
  const { exitCode, stdout, stderr } = await execa(program, args, options)
  return { status: exitCode, stdout, stderr }
}

/** Our runtime, for a container that nobody else hears of. */
export function ours(...args: string[]): Promise<Ended> {
  return call(...tsnspawn('--quiet', '--console=pipe', '--register=no', ...args))
}

export function original(...args: string[]): Promise<Ended> {
  return call('systemd-nspawn', '--quiet', '--pipe', '--register=no', '--keep-unit', ...args)
}

export function build(...args: string[]): Promise<Ended> {
  return call(...tsnspawnBuild(...args))
}

/** What a program has said that ended well and had nothing to complain of. */
export async function said(running: Promise<Ended>): Promise<string> {
  const { status, stdout, stderr } = await running
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return stdout
}

/** The output of a tool that does what it is told. */
export async function tool(...[program, ...args]: readonly [string, ...string[]]): Promise<string> {
  return (await execa(program, args, { stdin: 'ignore', timeout: LIMIT_MS })).stdout
}

/** That a start was refused: nothing of the payload is seen, and the message says why. */
export async function refused(running: Promise<Ended>, why: RegExp): Promise<void> {
  const { status, stdout, stderr } = await running
  assert.match(stderr, why)
  assert.equal(stdout, '')
  assert.equal(status, 1)
}

/** Asks again until the answer is the one that is waited for. */
export async function eventually(check: () => Promise<void>, limitMs = 20_000): Promise<void> {
  const until = performance.now() + limitMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > until) throw error
    }
    await sleep(200)
  }
}

export interface Running extends AsyncDisposable {
  readonly pid: number
  /** The end, however it comes. */
  readonly ended: Promise<Ended>
  signal(name: NodeJS.Signals): void
}

/** Starts a program and waits until it prints `ready`; it is killed with its scope, if it still runs then. */
export async function start(
  ...[program, ...args]: readonly [string, ...string[]]
): Promise<Running> {
  const running = execa(program, args, { reject: false, stdin: 'ignore', timeout: LIMIT_MS })
  const ended = running.then(({ exitCode, stdout, stderr }) => ({
    ...{ status: exitCode, stdout, stderr },
  }))
  let text = ''
  running.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  while (!text.includes('ready')) {
    const early = await Promise.race([once(running.stdout, 'data'), ended])
    if ('stderr' in early) throw new Error(`it ended with ${early.status}: ${early.stderr}`)
  }
  return {
    pid: running.pid as number,
    ended,
    signal: (name) => running.kill(name),
    async [Symbol.asyncDispose]() {
      running.kill('SIGKILL')
      await ended
    },
  }
}

/** Our runtime with these arguments, whose payload says `ready`. */
export function startOurs(...args: string[]): Promise<Running> {
  return start(...tsnspawn('--quiet', '--console=pipe', ...args))
}
