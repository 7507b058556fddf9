/**
 * Files of a tree, named as they are called inside it. Links may be absolute and must not lead out onto
 * the host, so every path is resolved beneath the tree. Whoever's packages ran in it may have put anything in the place
 * of a file: pipes that nobody ever writes to, nodes of the host's devices, more than fits into memory.
 */
import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  type Stats,
} from 'node:fs'
import { join, posix } from 'node:path'
import { NspawnError } from '../errors.ts'
import { removeTree } from '../images/remove-tree.ts'
import { resolveInRoot } from '../images/resolve-in-root.ts'

/** Numbers of a user and a group of the tree. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** In bytes; the package databases that are one file take a few megabytes. */
const READ_MAX = 64 * 1024 ** 2

/** Nobody else changes the tree meanwhile; it is in the making. */
export class TreeFiles {
  readonly root: string
  /** On disk, user and group 0 of the tree are these. */
  private readonly base: number

  /** @param base where the ids of a tree begin that belongs to the users of containers */
  constructor(root: string, base = 0) {
    this.root = root
    this.base = base
  }

  /**
   * The host path of `inner`; components that do not exist are kept as they are.
   *
   * @param last whether a link in the last component is followed
   * @throws NspawnError `ELOOP`, `ENOTDIR`
   */
  resolve(inner: string, last: 'follow' | 'keep' = 'follow'): string {
    if (last === 'follow') return resolveInRoot(this.root, inner, 'allow')
    return join(resolveInRoot(this.root, posix.dirname(inner), 'allow'), posix.basename(inner))
  }

  /** What is at `inner`, links followed; undefined when nothing is. */
  stat(inner: string, last: 'follow' | 'keep' = 'follow'): Stats | undefined {
    return lstatSync(this.resolve(inner, last), { throwIfNoEntry: false })
  }

  /**
   * The text at `inner`, or undefined when nothing is there.
   *
   * @throws NspawnError `BOOTSTRAP_VERIFY` for what is no file, or too large for what is read so
   */
  read(inner: string): string | undefined {
    try {
      const path = this.resolve(inner)
      const facts = lstatSync(path)
      checkFile(inner, facts)
      if (facts.size > READ_MAX)
        throw strange(inner, `is too large to be read: ${facts.size} bytes`)
      return readFileSync(path, 'utf8')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw error
    }
  }

  /**
   * Writes a file; directories on the way are made, and an existing file keeps owner and links.
   *
   * @throws NspawnError `BOOTSTRAP_VERIFY` when something else than a file is there
   */
  write(inner: string, content: string | Uint8Array, mode = 0o644): void {
    const path = this.resolve(inner)
    const there = lstatSync(path, { throwIfNoEntry: false })
    if (there !== undefined) checkFile(inner, there)
    this.makeWay(path)
    writeFileSync(path, content, { mode })
    if (there === undefined) this.own(path)
    chmodSync(path, mode)
  }

  /**
   * Opens a file to read a part of it.
   *
   * @returns undefined when nothing is there
   * @throws NspawnError `BOOTSTRAP_VERIFY` for what is no file
   */
  open(inner: string): (Disposable & { readonly fd: number }) | undefined {
    const path = this.resolve(inner)
    const facts = lstatSync(path, { throwIfNoEntry: false })
    if (facts === undefined) return undefined
    checkFile(inner, facts)
    const fd = openSync(path, constants.O_RDONLY)
    return { fd, [Symbol.dispose]: () => closeSync(fd) }
  }

  /**
   * Makes a directory and those on the way, as far as they are not there.
   *
   * @param owner of the last one, if it is new; default root
   */
  makeDirectory(inner: string, mode: number, owner?: Owner): void {
    const path = this.resolve(inner)
    this.makeWay(path)
    try {
      mkdirSync(path, { mode })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      return
    }
    chmodSync(path, mode)
    this.own(path, owner)
  }

  /** Makes a link that reads `target`, in the place of what is at `inner`. */
  link(target: string, inner: string): void {
    const path = this.resolve(inner, 'keep')
    this.makeWay(path)
    this.remove(inner)
    symlinkSync(target, path)
    this.own(path)
  }

  /** Gives what is at `inner` to somebody; a link is followed. */
  giveTo(owner: Owner, inner: string): void {
    this.own(this.resolve(inner), owner)
  }

  /** Removes what is at `inner` (a link itself, a directory with all in it); nothing there is fine. */
  remove(inner: string): void {
    const path = this.resolve(inner, 'keep')
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) removeTree(path)
  }

  /** Removes what is in the directory `inner`, but for names that `keep` wants. */
  empty(inner: string, keep: (name: string) => boolean = () => false): void {
    for (const name of this.list(inner)) if (!keep(name)) this.remove(posix.join(inner, name))
  }

  /** Names in the directory `inner`; none when there is no such directory. */
  list(inner: string): string[] {
    try {
      return readdirSync(this.resolve(inner))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return []
      throw error
    }
  }

  /** Makes the directories that lead to a host path which `resolve()` gave. */
  private makeWay(path: string): void {
    const last = posix.dirname(path)
    const first = mkdirSync(last, { recursive: true, mode: 0o755 })
    if (first === undefined) return
    for (let made = last; made.length >= first.length; made = posix.dirname(made)) this.own(made)
  }

  private own(path: string, { uid, gid }: Owner = { uid: 0, gid: 0 }): void {
    if (this.base + uid === 0 && this.base + gid === 0) return
    lchownSync(path, this.base + uid, this.base + gid)
  }
}

function checkFile(inner: string, facts: Stats): void {
  if (!facts.isFile()) throw strange(inner, 'is no file')
}

function strange(inner: string, why: string): NspawnError {
  return new NspawnError(`${inner} of the tree ${why}`, {
    code: 'BOOTSTRAP_VERIFY',
    operation: 'open',
    subject: inner,
    hint: 'a package has put it there; make the tree without that package',
  })
}
