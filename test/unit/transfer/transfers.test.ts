import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CleanupStack } from '../../../src/cleanup.ts'
import { transferTable } from '../../../src/cli/commands/list-transfers.ts'
import { silent } from '../../../src/log.ts'
import { ownerOf, type Owner } from '../../../src/owner.ts'
import { cancelTransfer, listTransfers, registerTransfer } from '../../../src/transfer/transfers.ts'

let directory: string
const transfers = () => readdirSync(join(directory, 'transfers'))
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'transfers-'))
  vi.stubEnv('TSNSPAWN_RUNTIME_DIR', directory)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

const pull = { type: 'pull-tar', local: 'deb', remote: 'http://h/deb.tar' } as const

/** A record as another process would have written it. */
function record(id: number, owner: Owner, more: object = {}): void {
  mkdirSync(join(directory, 'transfers'), { recursive: true })
  writeFileSync(
    join(directory, `transfers/${id}.json`),
    JSON.stringify({ ...pull, ...more, id, owner }),
  )
}

test('a transfer is listed with its progress until its stack is released', async () => {
  expect(listTransfers()).toEqual([])
  await using cleanup = new CleanupStack()
  const first = registerTransfer(pull, cleanup)
  const second = registerTransfer({ ...pull, type: 'import-fs', local: undefined }, cleanup)
  expect([first.id, second.id]).toEqual([1, 2])
  first.progress(0.123)
  expect(listTransfers()).toMatchObject([
    { ...pull, id: 1, fraction: 0.123, owner: { pid: process.pid } },
    { id: 2, type: 'import-fs' },
  ])
  await cleanup.releaseAll()
  second.progress(0.9)
  expect(transfers()).toEqual([])
})

test('records and drafts of dead processes go', () => {
  record(7, { pid: process.pid, startTime: 1 })
  writeFileSync(join(directory, 'transfers/7.cancel'), '')
  writeFileSync(join(directory, 'transfers/.999999-1.draft'), '')
  expect(listTransfers()).toEqual([])
  expect(transfers()).toEqual([])
})

test('a transfer that is canceled is told, and canceling waits for its end', async () => {
  await using cleanup = new CleanupStack()
  const transfer = registerTransfer(pull, cleanup)
  let ended = false
  transfer.signal.addEventListener('abort', () => {
    void sleep(100).then(async () => {
      ended = true
      await cleanup.releaseAll()
    })
  })
  await cancelTransfer(transfer.id, silent)
  expect(ended).toBe(true)
  expect(transfer.signal.reason).toMatchObject({ code: 'TRANSFER_CANCELED' })
  expect(transfers()).toEqual([])
})

test('a mark that was left for an earlier one of its id does not end a transfer', async () => {
  mkdirSync(join(directory, 'transfers'))
  writeFileSync(join(directory, 'transfers/1.cancel'), '')
  await using cleanup = new CleanupStack()
  const transfer = registerTransfer(pull, cleanup)
  expect(transfer.id).toBe(1)
  await sleep(250)
  expect(transfer.signal.aborted).toBe(false)
})

test('only the one that is meant ends', async () => {
  await using cleanup = new CleanupStack()
  const one = registerTransfer(pull, cleanup)
  await using others = new CleanupStack()
  const two = registerTransfer(pull, others)
  one.signal.addEventListener('abort', () => void cleanup.releaseAll())
  await cancelTransfer(one.id, silent)
  expect(two.signal.aborted).toBe(false)
  expect(listTransfers().map(({ id }) => id)).toEqual([two.id])
})

test('one that is not there is told', async () => {
  await expect(cancelTransfer(1, silent)).rejects.toMatchObject({ code: 'TRANSFER_NOT_FOUND' })
})

describe('a process that does not hear', () => {
  let deaf: ChildProcess
  afterEach(() => void deaf.kill('SIGKILL'))

  const start = async (script: string): Promise<Owner> => {
    deaf = spawn('sh', ['-c', `${script}; echo ready; while :; do sleep 0.05; done`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => deaf.stdout?.once('data', resolve))
    return ownerOf(deaf.pid as number) as Owner
  }

  test.each([
    ['the mark is ended by SIGTERM', ':', 'SIGTERM'],
    ['SIGTERM either is killed', 'trap "" TERM', 'SIGKILL'],
  ])('%s, and what it left goes', async (_what, script, signal) => {
    const part = join(directory, '.#pull-x.part')
    writeFileSync(part, 'some')
    record(3, await start(script), { part })
    const ended = new Promise((resolve) => deaf.once('exit', (_status, by) => resolve(by)))
    await cancelTransfer(3, silent, 200)
    expect(await ended).toBe(signal)
    expect(existsSync(part)).toBe(false)
    expect(transfers()).toEqual([])
  })

  test('is left alone when its pid belongs to another by now', async () => {
    const owner = await start(':')
    record(3, { ...owner, startTime: owner.startTime + 1 })
    await expect(cancelTransfer(3, silent)).rejects.toMatchObject({ code: 'TRANSFER_NOT_FOUND' })
    expect(deaf.exitCode ?? deaf.signalCode).toBeNull()
  })
})

test("the list looks like machinectl's, sorted by the local name", () => {
  const row = { type: 'pull-tar', remote: 'http://example.com/deb.tar.xz', pid: 1 }
  const rows = [
    { ...row, id: 1, percent: null, local: 'deb' },
    { ...row, id: 2, percent: 7, local: 'arch' },
  ]
  expect(transferTable(rows, true)).toBe(
    [
      'ID PERCENT TYPE     LOCAL REMOTE',
      ' 2      7% pull-tar arch  http://example.com/deb.tar.xz',
      ' 1     n/a pull-tar deb   http://example.com/deb.tar.xz',
      '',
      '2 transfers listed.',
    ].join('\n'),
  )
  expect(transferTable([], true)).toBe('No transfers.')
  expect(transferTable([], false)).toBe('')
})
