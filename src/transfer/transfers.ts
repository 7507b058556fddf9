/**
 * Which transfers run, whoever started them: one small file each, which names its owner by pid and start time, so that
 * a record outlives nobody. There is no daemon: a transfer lives in the process that was asked for it, and is ended
 * by a mark that its process watches for.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { removeStaleHiddenTrees } from '../images/hidden-tree.ts'
import type { LogSink } from '../log.ts'
import { isOwnerAlive, ownerOf, ownOwner, parseOwner, type Owner } from '../owner.ts'
import { runtimeDirectory } from '../paths.ts'
import { close } from '../sys/fd.ts'
import { openPidfd, SIGKILL, signalPidfd, SIGTERM } from '../sys/process.ts'
import { removePart } from './pull/part-file.ts'

export type TransferType =
  | 'pull-tar'
  | 'pull-raw'
  | 'pull-oci'
  | 'import-tar'
  | 'import-raw'
  | 'import-fs'
  | 'export-tar'
  | 'export-raw'

export interface NewTransfer {
  readonly type: TransferType
  /** The image's name here; undefined where there is none. */
  readonly local: string | undefined
  /** URL, reference or path of the other side, without secrets. */
  readonly remote: string
  /** Directories in which it makes hidden things, which are removed should it have to be killed. */
  readonly directories?: readonly string[] | undefined
  /** A file that would be kept for a later run, and is not when the transfer is canceled. */
  readonly part?: string | undefined
}

export interface TransferRecord extends NewTransfer {
  readonly id: number
  /** 0 to 1; undefined until known. */
  readonly fraction: number | undefined
  readonly owner: Owner
}

export interface Transfer {
  readonly id: number
  /** Aborted when somebody cancels it, with an NspawnError `TRANSFER_CANCELED`. */
  readonly signal: AbortSignal
  /** @param fraction 0 to 1 */
  progress(fraction: number): void
}

const lookMs = 25
const progressIntervalMs = 500
const markIntervalMs = 100

/** Lists the transfer until the stack is released. */
export function registerTransfer(transfer: NewTransfer, cleanup: CleanupStack): Transfer {
  const directory = transfersDirectory()
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const owner = ownerOf('self') ?? { pid: process.pid, startTime: 0 }
  const record = claimId(directory, { ...transfer, fraction: undefined, owner })
  const path = join(directory, `${record.id}.json`)
  const mark = markPath(directory, record.id)
  // Left by somebody who died while canceling an earlier one of that id.
  rmSync(mark, { force: true })
  let over = false
  cleanup.defer(`record of transfer ${record.id}`, () => {
    over = true
    rmSync(path, { force: true })
    rmSync(mark, { force: true })
  })
  const canceled = new AbortController()
  const look = () => {
    if (!canceled.signal.aborted && existsSync(mark)) canceled.abort(cancelation(record.id))
  }
  // Looked for, not watched: a host has few watches, and a transfer shall not fail for want of one.
  const watcher = setInterval(look, markIntervalMs).unref()
  cleanup.defer(`watch for the end of transfer ${record.id}`, () => clearInterval(watcher))
  let shown = { percent: -1, atMs: -Infinity }
  return {
    id: record.id,
    signal: canceled.signal,
    progress: (fraction) => {
      const percent = Math.floor(fraction * 100)
      const now = performance.now()
      if (over || percent === shown.percent || now - shown.atMs < progressIntervalMs) return
      shown = { percent, atMs: now }
      replace(directory, path, { ...record, fraction })
    },
  }
}

/** All transfers under way, by id. Records of dead processes are taken away. */
export function listTransfers(): TransferRecord[] {
  const directory = transfersDirectory()
  const records = names(directory).flatMap((name) => {
    const draft = /^\.(\d+-\d+)\.draft$/.exec(name)?.[1]
    const author = draft === undefined ? undefined : parseOwner(draft)
    if (author !== undefined && !isOwnerAlive(author))
      rmSync(join(directory, name), { force: true })
    if (!/^\d+\.json$/.test(name)) return []
    const record = readRecord(join(directory, name))
    if (record === undefined || isOwnerAlive(record.owner)) return record ?? []
    forget(directory, record.id)
    return []
  })
  return records.toSorted((a, b) => a.id - b.id)
}

/**
 * Ends a transfer, whichever process it is in, and returns when everything that it made is gone. Its process is asked
 * first; one that does not hear is ended.
 *
 * @param patienceMs so long it has after each of: the mark, SIGTERM, SIGKILL
 * @throws NspawnError `TRANSFER_NOT_FOUND`
 */
export async function cancelTransfer(id: number, log: LogSink, patienceMs = 5000): Promise<void> {
  const record = listTransfers().find((one) => one.id === id)
  if (record === undefined) {
    throw new NspawnError(`there is no transfer ${id}`, {
      code: 'TRANSFER_NOT_FOUND',
      hint: 'list-transfers shows those under way',
    })
  }
  const directory = transfersDirectory()
  writeFileSync(markPath(directory, id), '')
  const runs = () => isOwnerAlive(record.owner) && isListed(directory, record)
  for (const signal of [undefined, SIGTERM, SIGKILL]) {
    if (signal !== undefined) signalOwner(record.owner, signal)
    for (const began = performance.now(); runs() && performance.now() - began < patienceMs;)
      await sleep(lookMs)
    if (!runs()) break
  }
  rmSync(markPath(directory, id), { force: true })
  if (isOwnerAlive(record.owner)) return
  forget(directory, id)
  for (const swept of record.directories ?? []) removeStaleHiddenTrees(swept, log)
  if (record.part !== undefined) removePart(record.part)
}

function cancelation(id: number): NspawnError {
  return new NspawnError(`transfer ${id} was canceled, nothing of it is left`, {
    code: 'TRANSFER_CANCELED',
  })
}

/** Whether the record is still that of the same transfer. */
function isListed(directory: string, { id, owner, remote }: TransferRecord): boolean {
  const now = readRecord(join(directory, `${id}.json`))
  return (
    now?.owner.pid === owner.pid && now.owner.startTime === owner.startTime && now.remote === remote
  )
}

/** Through a descriptor of the process, so that no later one with its pid is hit. */
function signalOwner(owner: Owner, signal: number): void {
  let pidfd: number
  try {
    pidfd = openPidfd(owner.pid)
  } catch (error) {
    if ((error as NspawnError).code === 'ESRCH') return
    throw error
  }
  try {
    if (isOwnerAlive(owner)) signalPidfd(pidfd, signal)
  } finally {
    close(pidfd)
  }
}

function claimId(directory: string, transfer: Omit<TransferRecord, 'id'>): TransferRecord {
  const draft = draftPath(directory)
  const taken = listTransfers().map(({ id }) => id)
  try {
    for (let id = Math.max(0, ...taken) + 1; ; id++) {
      const record = { ...transfer, id }
      writeFileSync(draft, JSON.stringify(record))
      try {
        linkSync(draft, join(directory, `${id}.json`))
        return record
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

function replace(directory: string, path: string, record: TransferRecord): void {
  const draft = draftPath(directory)
  writeFileSync(draft, JSON.stringify(record))
  renameSync(draft, path)
}

function forget(directory: string, id: number): void {
  rmSync(join(directory, `${id}.json`), { force: true })
  rmSync(markPath(directory, id), { force: true })
}

function readRecord(path: string): TransferRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as TransferRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function transfersDirectory(): string {
  return join(runtimeDirectory(), 'transfers')
}

function draftPath(directory: string): string {
  return join(directory, `.${ownOwner()}.draft`)
}

function markPath(directory: string, id: number): string {
  return join(directory, `${id}.cancel`)
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
