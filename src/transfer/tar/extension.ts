/** What extended headers say of entries: PAX records of POSIX, and those of GNU tar, star, libarchive and Red Hat. */
import type { TimeOfInode } from '../../sys/statx.ts'
import { readPaxNumber, readPaxTime, type PaxRecord } from './pax.ts'
import { readCommaMap } from './sparse.ts'

/** What PAX records say of the next entry, or (from a global header) of all that follow. */
export interface Extension {
  path?: string | undefined
  link?: string | undefined
  size?: number | undefined
  uid?: number | undefined
  gid?: number | undefined
  modified?: TimeOfInode | undefined
  accessed?: TimeOfInode | undefined
  major?: number | undefined
  minor?: number | undefined
  xattrs?: Map<string, Buffer>
  aclAccess?: string
  aclDefault?: string
  sparse?: PaxSparse
}

export interface PaxSparse {
  major?: number
  /** The entry's own name is then a made-up one. */
  path?: string
  size?: number
  segments: number[]
}

/** Puts records into `into`. An empty value takes back what a global header said. @throws NspawnError `BAD_ARCHIVE` */
export function takeRecords(
  into: Extension,
  records: readonly PaxRecord[],
  scope: 'global' | 'next',
): void {
  const entry = records.find(({ key }) => key === 'path')
  const name = entry?.value.toString('latin1') ?? ''
  for (const record of records) {
    const { key, value } = record
    switch (key) {
      case 'path':
        into.path = textOf(record)
        break
      case 'linkpath':
        into.link = textOf(record)
        break
      case 'size':
        into.size = numberOf(record, name)
        break
      case 'uid':
        into.uid = numberOf(record, name)
        break
      case 'gid':
        into.gid = numberOf(record, name)
        break
      case 'mtime':
        into.modified = timeOf(record, name)
        break
      case 'atime':
        into.accessed = timeOf(record, name)
        break
      case 'SCHILY.devmajor':
        into.major = numberOf(record, name)
        break
      case 'SCHILY.devminor':
        into.minor = numberOf(record, name)
        break
      default:
        // Nobody means these for all entries, and many global headers would fill the memory with them.
        if (scope === 'next') takeSpecial(into, key, value, name)
    }
  }
}

const textOf = ({ value }: PaxRecord): string | undefined =>
  value.length === 0 ? undefined : value.toString('latin1')

const numberOf = ({ key, value }: PaxRecord, entry: string): number | undefined =>
  value.length === 0 ? undefined : readPaxNumber(value, key, entry)

const timeOf = ({ value }: PaxRecord, entry: string): TimeOfInode | undefined =>
  value.length === 0 ? undefined : readPaxTime(value, entry)

const XATTR = 'SCHILY.xattr.'
const XATTR_BASE64 = 'LIBARCHIVE.xattr.'

function takeSpecial(into: Extension, key: string, value: Buffer, entry: string): void {
  if (key.startsWith('GNU.sparse.')) return takeSparse(into, key, value, entry)
  if (key === 'SCHILY.acl.access') into.aclAccess = value.toString()
  else if (key === 'SCHILY.acl.default') into.aclDefault = value.toString()
  else if (key === 'RHT.security.selinux') addXattr(into, 'security.selinux', value)
  else if (key.startsWith(XATTR)) {
    // GNU tar's way of names that have the sign that ends a key.
    const name = key.slice(XATTR.length).replaceAll('%3D', '=').replaceAll('%25', '%')
    addXattr(into, name, value)
  } else if (key.startsWith(XATTR_BASE64)) {
    const name = latin1Decoded(key.slice(XATTR_BASE64.length))
    if (into.xattrs?.has(name) !== true) {
      addXattr(into, name, Buffer.from(value.toString('latin1'), 'base64'))
    }
  }
}

const latin1Decoded = (text: string): string =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))

function addXattr(into: Extension, name: string, value: Buffer): void {
  into.xattrs ??= new Map()
  into.xattrs.set(name, value)
}

function takeSparse(into: Extension, key: string, value: Buffer, entry: string): void {
  const sparse = (into.sparse ??= { segments: [] })
  const number = () => readPaxNumber(value, key, entry)
  switch (key) {
    case 'GNU.sparse.major':
      sparse.major = number()
      break
    case 'GNU.sparse.size':
    case 'GNU.sparse.realsize':
      sparse.size = number()
      break
    case 'GNU.sparse.name':
      sparse.path = value.toString('latin1')
      break
    case 'GNU.sparse.offset':
    case 'GNU.sparse.numbytes':
      sparse.segments.push(number())
      break
    case 'GNU.sparse.map':
      sparse.segments = readCommaMap(value.toString('latin1'), entry)
      break
    default:
      break
  }
}
