/** The directories and links that a root needs to start anything; what exists is never touched. */
import { chownSync, lchownSync, mkdirSync, symlinkSync } from 'node:fs'
import { close, O_NOFOLLOW, O_PATH } from '../sys/fd.ts'
import { descriptorPath, openInRootIfPresent } from '../sys/openat2.ts'

type Entry =
  | { readonly name: string; readonly mode: number; readonly missing: 'fail' | 'accept' }
  /** A link to the first target that exists and, when given, holds `proof`. */
  | { readonly name: string; readonly targets: readonly string[]; readonly proof?: string }

const loader = process.arch === 'arm64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2'
const multiarch = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'

const entries: readonly Entry[] = [
  { name: 'bin', targets: ['usr/bin'] },
  { name: 'lib', targets: ['usr/lib'] },
  { name: 'root', mode: 0o750, missing: 'accept' },
  { name: 'sbin', targets: ['usr/sbin'] },
  { name: 'usr', mode: 0o755, missing: 'fail' },
  { name: 'var', mode: 0o755, missing: 'fail' },
  { name: 'etc', mode: 0o755, missing: 'fail' },
  { name: 'proc', mode: 0o555, missing: 'accept' },
  { name: 'sys', mode: 0o555, missing: 'accept' },
  { name: 'dev', mode: 0o555, missing: 'accept' },
  { name: 'run', mode: 0o555, missing: 'accept' },
  { name: 'lib64', targets: ['usr/lib64', `usr/lib/${multiarch}`, 'usr/lib'], proof: loader },
]

function exists(root: number, path: string, flags = 0): boolean {
  const fd = openInRootIfPresent(root, path, O_PATH | flags)
  if (fd !== undefined) close(fd)
  return fd !== undefined
}

export function makeBaseFilesystem(root: number, owner: number): void {
  for (const entry of entries) {
    if (exists(root, entry.name, O_NOFOLLOW)) continue
    const path = descriptorPath(root, entry.name)
    if ('targets' in entry) {
      const { targets, proof } = entry
      const target = targets.find((dir) =>
        exists(root, proof === undefined ? dir : `${dir}/${proof}`),
      )
      if (target === undefined) continue
      symlinkSync(target, path)
      lchownSync(path, owner, owner)
      continue
    }
    try {
      mkdirSync(path, { mode: entry.mode })
      chownSync(path, owner, owner)
    } catch (error) {
      // A read-only tree may lack what is only a mount point: mounting there fails later, with a better message.
      if (entry.missing === 'fail') throw error
    }
  }
}
