/** Trees that programs run in, without waiting for a whole Debian tree to be copied. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { debianTree } from '../../fixtures/debian-tree.ts'

export interface BorrowedTree extends Disposable {
  readonly path: string
}

/** The Debian tree at `NAME` in `directory`, to be written to at will: an overlay above the pristine one. */
export async function borrowDebianTree(directory: string, name: string): Promise<BorrowedTree> {
  const path = join(directory, name)
  const [upper, work] = [join(directory, `${name}-upper`), join(directory, `${name}-work`)]
  for (const made of [path, upper, work]) mkdirSync(made)
  const options = `lowerdir=${await debianTree()},upperdir=${upper},workdir=${work}`
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, path])
  return { path, [Symbol.dispose]: () => execFileSync('umount', ['-l', path]) }
}

/** A real tree at `path` with little but what a program needs. */
export async function makeSmallTree(path: string): Promise<void> {
  mkdirSync(path)
  execFileSync(
    'sh',
    [
      '-ec',
      'cp -a --parents bin lib* sbin etc usr/bin usr/lib* "$1"; mkdir "$1/root" "$1/var"',
      'sh',
      path,
    ],
    {
      cwd: await debianTree(),
    },
  )
}
