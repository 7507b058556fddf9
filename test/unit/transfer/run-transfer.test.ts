import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { CleanupStack } from '../../../src/cleanup.ts'
import { silent } from '../../../src/log.ts'
import { runTransfer, type RunningTransfer } from '../../../src/transfer/run-transfer.ts'
import { cancelTransfer, listTransfers } from '../../../src/transfer/transfers.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'transfers-'))
  vi.stubEnv('TSNSPAWN_RUNTIME_DIR', directory)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

/** Runs `work` as a transfer, and tells how it failed. */
async function failure(
  work: (transfer: RunningTransfer) => Promise<unknown>,
  caller?: AbortSignal,
): Promise<unknown> {
  const cleanup = new CleanupStack()
  const listed = { type: 'pull-tar', local: 'deb', remote: 'http://h/deb.tar' } as const
  try {
    return await runTransfer({ ...listed, purpose: 'pulling it', caller }, cleanup, work)
  } catch (error) {
    return error
  } finally {
    await cleanup.releaseAll()
  }
}

/** As all do that listen to a signal. */
const untilStopped = ({ signal }: RunningTransfer) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))))

test('a transfer is listed while it runs', async () => {
  const seen = await failure(() => Promise.resolve(listTransfers()))
  expect(seen).toMatchObject([{ local: 'deb' }])
  expect(listTransfers()).toEqual([])
})

test('of several failures the one that made the others is told', async () => {
  const error = await failure((transfer) => {
    queueMicrotask(() => {
      transfer.stop(new Error('first'))
      transfer.stop(new Error('second'))
    })
    return untilStopped(transfer)
  })
  expect(error).toMatchObject({ message: 'first' })
  expect(await failure(() => Promise.reject(new Error('alone')))).toMatchObject({
    message: 'alone',
  })
})

test('the end that the caller wants counts more than what fails of it', async () => {
  const caller = new AbortController()
  const error = await failure((transfer) => {
    queueMicrotask(() => {
      caller.abort()
      transfer.stop(new Error('too late'))
    })
    return untilStopped(transfer)
  }, caller.signal)
  expect(error).toMatchObject({ code: 'CANCELED', message: 'pulling it was canceled' })
})

test('the end by cancel-transfer counts most', async () => {
  const caller = new AbortController()
  let canceling: Promise<void> | undefined
  const error = await failure(async (transfer) => {
    canceling = cancelTransfer(listTransfers()[0]!.id, silent)
    await untilStopped(transfer).catch(() => caller.abort())
    transfer.stop(new Error('too late'))
    throw new Error('stopped')
  }, caller.signal)
  expect(error).toMatchObject({ code: 'TRANSFER_CANCELED' })
  await canceling
})
