/**
 * ext4, filled by debugfs with a list of commands. `mke2fs -d` would do it in one go, but loses parts of seconds, and places
 * files in the order in which the directories of this host have them: the same tree elsewhere gave other bytes.
 */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { readLinkAt } from '../../sys/at.ts'
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  type InodeFacts,
} from '../../sys/statx.ts'
import { getXattr, listXattrs } from '../../sys/xattr.ts'
import { Turns } from '../../turns.ts'
import { shownName } from '../../shown-name.ts'
import { walkTree, type Found } from '../walk-tree.ts'
import type { FileSystemRequest } from './file-system.ts'
import { inodeKey, pathOf } from './survey.ts'
import { runTool } from './tool.ts'

/** What every kernel and e2fsck of the last ten years knows; the host's mke2fs.conf has no say. */
const features = [
  'none',
  '64bit',
  'dir_index',
  'dir_nlink',
  'ext_attr',
  'extent',
  'extra_isize',
  'filetype',
  'flex_bg',
  'huge_file',
  'large_file',
  'metadata_csum',
  'sparse_super',
]

/** What a file system gets that is written to: it can grow. */
const writableFeatures = ['has_journal', 'resize_inode']

/** @see mke2fs(8), debugfs(8) */
export async function makeExt4(request: FileSystemRequest): Promise<void> {
  const { image, sizeBytes, survey, id, hashSeed, access, sourceDateEpoch } = request
  // For these tools 0 is no time.
  const time: Record<string, string> =
    sourceDateEpoch === undefined
      ? {}
      : { E2FSPROGS_FAKE_TIME: String(Math.max(sourceDateEpoch, 1)) }
  const writable = access === 'read-write'
  // lost+found and those that are reserved, and some to spare where more will come.
  const inodes = survey.inodes + 16
  await runTool(
    request,
    [
      'mke2fs',
      ...['-q', '-F', '-t', 'ext4', '-b', '4096', '-I', '256', '-m', '0', '-U', id],
      ...['-O', [...features, ...(writable ? writableFeatures : [])].join(',')],
      // The file is new, so that nothing in it needs to be made zero.
      ...['-E', `hash_seed=${hashSeed},nodiscard,lazy_itable_init=1,lazy_journal_init=1`],
      ...(writable
        ? ['-N', String(Math.max(inodes, Math.floor(sizeBytes / 16384)))]
        : ['-N', String(inodes)]),
      image,
      `${sizeBytes / 1024}k`,
    ],
    { ...time, MKE2FS_CONFIG: '/dev/null' },
  )
  const list = join(request.workDirectory, 'commands')
  await writeCommands(request, list)
  const { stderr } = await runTool(request, ['debugfs', '-w', '-f', list, image], time, {
    stdout: 'ignore',
  })
  // It goes on after failures, and ends as if there were none; its own version is all that it says otherwise.
  const complaints = stderr.split('\n').filter((line) => !/^(debugfs \d.*)?$/.test(line))
  if (complaints.length > 0) throw failure(complaints, sizeBytes)
  await runTool(request, ['e2fsck', '-f', '-n', image], time)
}

function failure(complaints: readonly string[], sizeBytes: number): NspawnError {
  const full = complaints.some((line) => /Could not allocate|No free space/i.test(line))
  if (full) {
    const size = Math.floor(sizeBytes / 1_000_000)
    return new NspawnError(`the tree does not fit into a file system of ${size} MB`, {
      code: 'ENOSPC',
      operation: 'debugfs',
      hint: 'ask for a larger image with --size',
    })
  }
  return new NspawnError(`cannot make the file system: ${complaints.slice(0, 5).join('\n  ')}`, {
    code: 'PROGRAM_FAILED',
    operation: 'debugfs',
  })
}

/** The commands that fill an empty file system with the tree, into a new file at `list`. */
async function writeCommands(request: FileSystemRequest, list: string): Promise<void> {
  const { tree, sourceDateEpoch, signal } = request
  const turns = new Turns()
  const commands = new CommandFile(list)
  try {
    const writer = new CommandWriter(commands, request)
    for (const found of walkTree(tree)) {
      writer.add(found)
      if (!turns.isOver) continue
      await turns.next()
      throwIfCanceled(signal, 'making the disk image')
    }
    // How much was ever written to it depends on the host; once it is 0, it is no longer counted.
    commands.add('ssv', 'kbytes_written', 0)
    // The time at which the file system was last written to.
    if (sourceDateEpoch !== undefined)
      commands.add('set_current_time', `@${Math.max(sourceDateEpoch, 1)}`)
  } finally {
    commands.close()
  }
}

const BUFFER = 1 << 16
/** A longer line is cut by debugfs. @see BUFSIZ, <stdio.h> */
const LINE_MAX = 8000

/** debugfs' commands, one a line. All strings are latin1: one character for each byte. */
class CommandFile {
  private readonly fd: number
  private text = ''

  constructor(path: string) {
    this.fd = openSync(path, 'wx', 0o600)
  }

  /** The words are plain, or were quoted. */
  add(...words: readonly (string | number)[]): void {
    const line = words.join(' ')
    if (line.length > LINE_MAX) throw unfit(line)
    this.text += `${line}\n`
    if (this.text.length > BUFFER) this.flush()
  }

  close(): void {
    this.flush()
    closeSync(this.fd)
  }

  private flush(): void {
    const bytes = Buffer.from(this.text, 'latin1')
    for (let at = 0; at < bytes.length;) at += writeSync(this.fd, bytes, at)
    this.text = ''
  }
}

/** Quotes a word, as libss reads it: quotes within are doubled. */
function quoted(word: string): string {
  if (/[\n\r]/.test(word)) throw unfit(word)
  return `"${word.replaceAll('"', '""')}"`
}

function unfit(word: string): NspawnError {
  return new NspawnError(
    'a name cannot be put into an ext4 image: it is too long or has line breaks',
    {
      code: 'EINVAL',
      operation: 'debugfs',
      subject: shownName(word),
      hint: 'choose another file system, or rename the file',
    },
  )
}

const KINDS: Readonly<Record<number, string>> = { [S_IFBLK]: 'b', [S_IFCHR]: 'c' }

class CommandWriter {
  private readonly commands: CommandFile
  private readonly request: FileSystemRequest
  /** Source of every file's contents. */
  private readonly tree: string
  /** The directory that debugfs is in, as the names that lead there. */
  private place: readonly string[] = []
  /** What debugfs takes for the present, in seconds. */
  private now: number | undefined
  /** First names of inodes that have several. */
  private readonly linked = new Map<string, string>()
  /** Values of attributes → the file that has it. */
  private readonly values = new Map<string, string>()

  constructor(commands: CommandFile, request: FileSystemRequest) {
    this.commands = commands
    this.request = request
    this.tree = Buffer.from(request.tree).toString('latin1')
  }

  add(found: Found): void {
    const { path, facts } = found
    const type = facts.mode & S_IFMT
    if (type === S_IFSOCK) {
      const text = `leaving out the socket ${shownName(path)}`
      return this.request.log({ kind: 'warning', text })
    }
    const names = path.split('/').slice(1)
    const base = names.at(-1)
    if (base === undefined) return this.setFacts('<2>', found)
    this.goTo(names.slice(0, -1))
    const name = quoted(`./${base}`)
    const links = type === S_IFDIR ? 1 : (this.request.survey.links.get(inodeKey(facts)) ?? 1)
    const first = links > 1 ? this.linked.get(inodeKey(facts)) : undefined
    if (first !== undefined) return this.commands.add('ln', first, name)
    this.setNow(facts.modified.seconds)
    this.make(found, type, name)
    if (links > 1) {
      this.linked.set(inodeKey(facts), quoted(`/${names.join('/')}`))
      this.commands.add('sif', name, 'links_count', links)
    }
    this.setFacts(name, found)
  }

  private make({ path, directory, name: entry, facts }: Found, type: number, name: string): void {
    // Unlike the others, `mknod` takes the whole word for the name.
    const bare = quoted(path.slice(path.lastIndexOf('/') + 1))
    switch (type) {
      case S_IFREG:
        return this.commands.add('write', quoted(`${this.tree}/${path.slice(2)}`), name)
      case S_IFDIR:
        // mke2fs has made that one.
        if (path !== './lost+found') this.commands.add('mkdir', name)
        return
      case S_IFLNK: {
        const target = Buffer.from(readLinkAt(directory, entry)).toString('latin1').slice(0, -1)
        return this.commands.add('symlink', name, quoted(target))
      }
      case S_IFIFO:
        return this.commands.add('mknod', bare, 'p')
      default:
        this.commands.add('mknod', bare, KINDS[type] ?? '', 0, 0)
        this.setDevice(name, facts)
    }
  }

  /** Both of the forms that the kernel reads: one of 16 bits for small numbers, and one of 32 for others. */
  private setDevice(name: string, { specialMajor: major, specialMinor: minor }: InodeFacts): void {
    const small = major < 256 && minor < 256
    const large = (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)
    this.commands.add('sif', name, 'block[0]', small ? (major << 8) | minor : 0)
    this.commands.add('sif', name, 'block[1]', small ? 0 : large >>> 0)
  }

  private goTo(names: readonly string[]): void {
    let shared = 0
    while (shared < names.length && names[shared] === this.place[shared]) shared++
    for (let i = this.place.length; i > shared; i--) this.commands.add('cd', '..')
    for (const name of names.slice(shared)) this.commands.add('cd', quoted(`./${name}`))
    this.place = names
  }

  /** What is made from then on has all of its times so: no need to set each. */
  private setNow(seconds: bigint): void {
    const now = Number(seconds)
    if (now === this.now || !isPlain(seconds)) return
    this.commands.add('set_current_time', `@${now}`)
    this.now = now
  }

  private setFacts(name: string, found: Found): void {
    const { facts } = found
    const type = facts.mode & S_IFMT
    const isTop = name === '<2>' || found.path === './lost+found'
    const set = (field: string, value: string | number) =>
      this.commands.add('sif', name, field, value)
    if (type !== S_IFLNK) set('mode', `0${facts.mode.toString(8)}`)
    if (facts.uid !== 0 || isTop) set('uid', facts.uid)
    if (facts.gid !== 0 || isTop) set('gid', facts.gid)
    const { seconds, nanoseconds } = facts.modified
    for (const time of ['atime', 'ctime', 'mtime', 'crtime']) {
      if (isTop || !isPlain(seconds)) set(time, `@${BigInt.asUintN(32, seconds)}`)
      // Two bits more for seconds: ext4 counts from 1901 to 2446.
      const high = Number((seconds - BigInt.asIntN(32, seconds)) >> 32n) & 3
      const extra = nanoseconds * 4 + high
      if (isTop || !isPlain(seconds) || extra !== 0) set(`${time}_extra`, extra)
    }
    this.setAttributes(name, found)
  }

  private setAttributes(name: string, found: Found): void {
    const target = pathOf(found)
    for (const attribute of listXattrs(target).toSorted()) {
      if (attribute.startsWith('trusted.overlay.')) continue
      const value = getXattr(target, attribute)
      if (value === undefined) continue
      const file = quoted(this.fileWith(value))
      this.commands.add('ea_set', '-f', file, name, quoted(attribute))
    }
  }

  /** Many files have the same attribute; all of them, where there are labels. */
  private fileWith(value: Buffer): string {
    const key = value.toString('latin1')
    const known = this.values.get(key)
    if (known !== undefined) return known
    const file = join(this.request.workDirectory, `value-${this.values.size}`)
    writeFileSync(file, value, { flag: 'wx', mode: 0o600 })
    this.values.set(key, file)
    return file
  }
}

/** Whether it is a time that debugfs can take for the present; it takes 0 for none. */
const isPlain = (seconds: bigint): boolean => seconds > 0n && seconds < 1n << 31n
