/**
 * What is in a package or an archive, without unpacking it: names, modes, owners, times, hashes. The file was made
 * by code that nobody vouches for, so all of it is bounded.
 */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { openControlArchive, openDataArchive } from '../../bootstrap/debian/deb-file.ts'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { openPlain } from '../../transfer/decompress.ts'
import { TarReader, type TarEntry } from '../../transfer/tar/reader.ts'

export interface ArchiveMember {
  readonly kind: string
  /** Octal. */
  readonly mode: string
  /** Numbers of user and group. */
  readonly owner: string
  /** ISO 8601, UTC. */
  readonly modified: string
  readonly link: string
  readonly sizeBytes: number
  readonly sha256: string
  /** Of small files that are text. */
  readonly text?: string
}

export type Listing = ReadonlyMap<string, ArchiveMember>

const textLimitBytes = 64 * 1024
const textsLimitBytes = 16 * 1024 ** 2
const plainLimitBytes = 8 * 1024 ** 3
const membersLimit = 1_000_000

/** Whether `listArchive()` knows files of this name. */
export function isArchive(name: string): boolean {
  return /\.(deb|udeb|ddeb|tgz|tar|tar\.\w+)$/.test(name)
}

/**
 * The members of a package or archive by path.
 *
 * @throws NspawnError `TOO_LARGE`, `BAD_ARCHIVE`, `BAD_PACKAGE`, `CANCELED`, what `openPlain()` throws
 */
export async function listArchive(path: string, signal?: AbortSignal): Promise<Listing> {
  const members = new Map<string, ArchiveMember>()
  const budget = { texts: textsLimitBytes, plain: plainLimitBytes }
  const add = async (chunks: AsyncIterable<Uint8Array>, prefix: string) =>
    addMembers(chunks, prefix, members, budget, signal)
  if (!/\.u?d?deb$/.test(path)) await add(createReadStream(path), '')
  else {
    await add(await openControlArchive(path), 'control: ')
    await add(await openDataArchive(path), '')
  }
  return members
}

interface Budget {
  texts: number
  plain: number
}

async function addMembers(
  chunks: AsyncIterable<Uint8Array>,
  prefix: string,
  members: Map<string, ArchiveMember>,
  budget: Budget,
  signal: AbortSignal | undefined,
): Promise<void> {
  let open: { entry: TarEntry; hash: Hash; pieces: Buffer[] | undefined } | undefined
  const reader = new TarReader(
    {
      begin: (entry) => {
        const keeps = entry.stored <= textLimitBytes && entry.stored <= budget.texts
        open = { entry, hash: createHash('sha256'), pieces: keeps ? [] : undefined }
      },
      data: (bytes) => {
        open?.hash.update(bytes)
        open?.pieces?.push(Buffer.from(bytes))
      },
      end: () => {
        if (open === undefined) return
        const { entry, hash, pieces } = open
        const text = textOf(pieces)
        budget.texts -= text?.length ?? 0
        if (members.size >= membersLimit) throw tooLarge(`more than ${membersLimit} members`)
        members.set(`${prefix}${utf8(entry.path)}`, describe(entry, hash.digest('hex'), text))
        open = undefined
      },
    },
    { end: 'optional', warn: () => {} },
  )
  const plain = await openPlain(chunks, { signal })
  for await (const chunk of plain.chunks) {
    throwIfCanceled(signal, 'comparing results')
    budget.plain -= chunk.length
    if (budget.plain < 0) throw tooLarge(`more than ${plainLimitBytes} bytes`)
    reader.push(chunk)
  }
  reader.finish()
}

function describe(
  { type, mode, uid, gid, modified, link, stored }: TarEntry,
  sha256: string,
  text: string | undefined,
): ArchiveMember {
  return {
    kind: type,
    mode: mode.toString(8).padStart(4, '0'),
    owner: `${uid}:${gid}`,
    modified: isoTime(Number(modified.seconds)),
    link: utf8(link),
    sizeBytes: stored,
    sha256,
    ...(text === undefined ? {} : { text }),
  }
}

/** Beyond what JavaScript's dates reach the number itself. */
function isoTime(seconds: number): string {
  return Math.abs(seconds) < 8.64e12 ? new Date(seconds * 1000).toISOString() : String(seconds)
}

function textOf(pieces: readonly Buffer[] | undefined): string | undefined {
  if (pieces === undefined) return undefined
  const bytes = Buffer.concat(pieces)
  return bytes.includes(0) ? undefined : bytes.toString('utf8')
}

/** The reader's strings have one character for each byte. */
function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8')
}

function tooLarge(what: string): NspawnError {
  return new NspawnError(`the archive has ${what}`, {
    code: 'TOO_LARGE',
    operation: 'compare archives',
  })
}
