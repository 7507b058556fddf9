/**
 * The lean runtime process that `runContainer()` starts: reads a request from one descriptor, runs the
 * container with its own stdio, and answers on another.
 */
import { readFileSync, writeSync } from 'node:fs'
import { serializeError } from '../errors.ts'
import type { LogEvent } from '../log.ts'
import { runContainerHere } from '../runtime/container.ts'
import { judge } from '../runtime/exit-status.ts'
import {
  ANSWER_FD,
  REQUEST_FD,
  type RuntimeAnswer,
  type RuntimeRequest,
} from '../runtime/protocol.ts'
import { prctl, PR_SET_PDEATHSIG, SIGTERM } from '../sys/process.ts'

export async function main(): Promise<number> {
  // With the caller gone nobody wants the container any more.
  prctl(PR_SET_PDEATHSIG, SIGTERM)
  const request = JSON.parse(readFileSync(REQUEST_FD, 'utf8')) as RuntimeRequest
  try {
    const log = (event: LogEvent) => answer({ kind: 'event', event })
    const { end, plan } = await runContainerHere(request.settings, {
      log,
      environment: process.env,
      machinesDirectory: request.machinesDirectory,
    })
    const { status } = judge(end, plan.machine, true)
    answer({ kind: 'ended', status, killed: end.kind === 'killed' })
    return 0
  } catch (error) {
    const plain = serializeError(error)
    if (plain !== undefined) answer({ kind: 'failed', error: plain })
    return 1
  }
}

function answer(message: RuntimeAnswer): void {
  writeSync(ANSWER_FD, `${JSON.stringify(message)}\n`)
}
