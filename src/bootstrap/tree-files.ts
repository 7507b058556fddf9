/**
 * Files of a tree, named as they are called inside it. Links may be absolute and must not lead out onto
 * the host, so every path is resolved beneath the tree.
 */
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  type Stats,
} from 'node:fs'
import { join, posix } from 'node:path'
import { resolveInRoot } from '../images/resolve-in-root.ts'

/** Numbers of a user and a group of the tree. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Nobody else changes the tree meanwhile; it is in the making. */
export class TreeFiles {
  readonly root: string

  constructor(root: string) {
    this.root = root
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

  /** The text at `inner`, or undefined when there is no file. */
  read(inner: string): string | undefined {
    try {
      return readFileSync(this.resolve(inner), 'utf8')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw error
    }
  }

  /** Writes a file; directories on the way are made, and an existing file keeps owner and links. */
  write(inner: string, content: string | Uint8Array, mode = 0o644): void {
    const path = this.resolve(inner)
    mkdirSync(posix.dirname(path), { recursive: true, mode: 0o755 })
    writeFileSync(path, content, { mode })
    chmodSync(path, mode)
  }

  /**
   * Makes a directory and those on the way, as far as they are not there.
   *
   * @param owner of the last one, if it is new; default root
   */
  makeDirectory(inner: string, mode: number, owner?: Owner): void {
    const path = this.resolve(inner)
    mkdirSync(posix.dirname(path), { recursive: true, mode: 0o755 })
    try {
      mkdirSync(path, { mode })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      return
    }
    chmodSync(path, mode)
    if (owner !== undefined) lchownSync(path, owner.uid, owner.gid)
  }

  /** Makes a link that reads `target`, in the place of what is at `inner`. */
  link(target: string, inner: string): void {
    const path = this.resolve(inner, 'keep')
    mkdirSync(posix.dirname(path), { recursive: true, mode: 0o755 })
    rmSync(path, { recursive: true, force: true })
    symlinkSync(target, path)
  }

  /** Gives what is at `inner` to somebody; a link is followed. */
  giveTo({ uid, gid }: Owner, inner: string): void {
    lchownSync(this.resolve(inner), uid, gid)
  }

  /** Removes what is at `inner` (a link itself, a directory with all in it); nothing there is fine. */
  remove(inner: string): void {
    rmSync(this.resolve(inner, 'keep'), { recursive: true, force: true })
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
}
