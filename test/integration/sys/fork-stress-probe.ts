/**
 * Forks twice, RUNS times, with collections forced in all three processes, and execs in the innermost.
 * Prints `{"runs", "failures", "retries", "seconds"}`. Usage: fork-stress-probe.ts RUNS OBJECTS
 */
import { forkChildWithHeap, forkRetries, forkWithHeap } from '../../../src/sys/fork.ts'
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../../../src/sys/namespaces.ts'
import { execute, exitProcess, waitForChild } from '../../../src/sys/process.ts'

function makeGarbage(objects: number): number {
  let kept: { i: number; text: string }[] = []
  let sum = 0
  for (let i = 0; i < objects; i++) {
    kept.push({ i, text: `x${i}` })
    if (kept.length > 20_000) {
      sum += kept.length
      kept = []
    }
  }
  return sum + kept.length
}

function statusOf(pid: number): number {
  const ended = waitForChild(pid)
  if (ended === undefined) return 95
  return ended.reason.kind === 'exited' ? ended.reason.status : 128 + ended.reason.signal
}

const runs = Number(process.argv[2])
const objects = Number(process.argv[3])
const seen = new Map<number, number>()
const began = performance.now()
for (let run = 0; run < runs; run++) {
  makeGarbage(objects)
  // Every other one is the first process of a pid namespace, as the sole child of a container is.
  const outer = forkWithHeap(run % 2 === 0 ? 'same' : 'new')
  if (outer === 0) {
    makeGarbage(objects)
    const inner = forkChildWithHeap(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS)
    if (inner === 0) {
      makeGarbage(objects)
      try {
        execute('/bin/true', ['true'], [])
      } catch {
        exitProcess(98)
      }
    }
    exitProcess(statusOf(inner))
  }
  const status = statusOf(outer)
  if (status !== 0) seen.set(status, (seen.get(status) ?? 0) + 1)
}
const failures = Object.fromEntries(seen)
const seconds = (performance.now() - began) / 1000
process.stdout.write(`${JSON.stringify({ runs, failures, retries: forkRetries(), seconds })}\n`)
