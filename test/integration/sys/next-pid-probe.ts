/**
 * The first process of a pid namespace forks for the next pid, while memory comes in between each time, up to GIVEN
 * UP times. Prints `{"pid", "retries"}`. Usage: next-pid-probe.ts GIVEN-UP
 */
import { writeSync } from 'node:fs'
import { forkChildWithNextPid, forkRetries, forkWithHeap } from '../../../src/sys/fork.ts'
import { exitProcess, waitForChild } from '../../../src/sys/process.ts'

const kept: Buffer[] = []
let left = Number(process.argv[2])

/** The last thing before the fork is a comparison of two texts of the memory map. */
function mapMoreAfterComparing(): void {
  // oxlint-disable-next-line typescript/unbound-method -- called on the buffer again
  const { compare } = Buffer.prototype
  Buffer.prototype.compare = function (...args: Parameters<Buffer['compare']>) {
    if (left-- > 0) kept.push(Buffer.alloc(8 << 20, 1))
    return compare.apply(this, args)
  }
}

const init = forkWithHeap('new')
if (init === 0) {
  mapMoreAfterComparing()
  const pid = forkChildWithNextPid()
  if (pid !== 0) {
    waitForChild(pid)
    writeSync(1, `${JSON.stringify({ pid, retries: forkRetries() })}\n`)
  }
  exitProcess(0)
}
waitForChild(init)
