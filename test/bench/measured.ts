/** A program run to its end: how long it took, and how much memory it and those that it started had at most. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface Measured {
  readonly ms: number
  /** Peak resident set of the process itself, and of all that it started, each at its own peak. */
  readonly selfMb: number
  readonly othersMb: number
}

const LOOK_EVERY_MS = 20

/**
 * Runs a program with what it starts.
 *
 * @param limitMs after this they are all killed
 * @returns undefined when it was killed so
 */
export async function measured(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  limitMs: number,
): Promise<Measured | undefined> {
  const [program = '', ...args] = argv
  const peaks = new Map<number, number>()
  const began = performance.now()
  // A group of its own, to be killed as one.
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true })
  const pid = child.pid as number
  let said = ''
  let killed = false
  child.stderr.on('data', (text) => (said += String(text)))
  const ended = new Promise<{ status: number | null; ms: number }>((resolve) => {
    child.on('exit', (status) => resolve({ status, ms: performance.now() - began }))
  })
  const watch = setInterval(() => notePeaks(pid, peaks), LOOK_EVERY_MS)
  const limit = setTimeout(() => (killed = process.kill(-pid, 'SIGKILL')), limitMs)
  const { status, ms } = await ended
  clearInterval(watch)
  clearTimeout(limit)
  if (killed) return undefined
  if (status !== 0) throw new Error(`${program} failed: ${said}`)
  const self = peaks.get(pid) ?? 0
  const all = [...peaks.values()].reduce((sum, peak) => sum + peak, 0)
  return { ms, selfMb: self / 1e6, othersMb: (all - self) / 1e6 }
}

function notePeaks(pid: number, peaks: Map<number, number>): void {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const peak = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024
    peaks.set(pid, Math.max(peak, peaks.get(pid) ?? 0))
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      for (const child of children.split(' ').filter(Boolean)) notePeaks(Number(child), peaks)
    }
  } catch {
    // It has ended meanwhile.
  }
}
