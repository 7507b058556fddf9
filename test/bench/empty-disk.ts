/**
 * An empty file system for each run. On one that is used again ext4 passes over the inodes that were freed in the last
 * minutes, which takes seconds for a tree that follows one that was removed; and to wait for the disk is to wait for all
 * that others have unwritten there.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const SIZE = '2G'

export class EmptyDisk implements Disposable {
  /** Where it is mounted. */
  readonly path: string
  private readonly image: string

  /** @param directory where its file lies; made if need be */
  constructor(directory: string) {
    this.path = join(directory, 'mounted')
    this.image = join(directory, 'disk.ext4')
    mkdirSync(this.path, { recursive: true })
    this.unmount()
  }

  /** Makes it empty, whatever is there, immutable files too. A new file: others' mount namespaces may hold the old one. */
  empty(): void {
    this[Symbol.dispose]()
    execFileSync('fallocate', ['--length', SIZE, this.image])
    const options = 'nodiscard,lazy_itable_init=1,lazy_journal_init=1'
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', options, this.image])
    execFileSync('mount', ['-o', 'loop,noinit_itable', this.image, this.path])
    execFileSync('sync')
  }

  [Symbol.dispose](): void {
    this.unmount()
    rmSync(this.image, { force: true })
  }

  private unmount(): void {
    const mounted = existsSync(this.path) && isMountPoint(this.path)
    if (mounted) execFileSync('umount', [this.path])
  }
}

function isMountPoint(path: string): boolean {
  try {
    execFileSync('mountpoint', ['--quiet', path])
    return true
  } catch {
    return false
  }
}
