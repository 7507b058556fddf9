/** Names are looked up as on the host while a program of a tree needs the network, and not any longer. */
import { readlinkSync } from 'node:fs'
import type { TreeFiles } from '../tree-files.ts'

const path = '/etc/resolv.conf'

/**
 * Takes the tree's own `resolv.conf` away while `work` lasts, so that its container makes a copy of the host's, and
 * puts it back. A link that `work` makes, as packages of resolvers do, stays.
 */
export async function withHostResolver<T>(files: TreeFiles, work: () => Promise<T>): Promise<T> {
  const own = keep(files)
  files.remove(path)
  try {
    return await work()
  } finally {
    if (files.stat(path, 'keep')?.isSymbolicLink() !== true) {
      files.remove(path)
      if (own?.kind === 'link') files.link(own.target, path)
      if (own?.kind === 'file') files.write(path, own.text, own.mode)
    }
  }
}

type Own =
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'file'; readonly text: string; readonly mode: number }

function keep(files: TreeFiles): Own | undefined {
  const facts = files.stat(path, 'keep')
  if (facts?.isSymbolicLink() === true)
    return { kind: 'link', target: readlinkSync(files.resolve(path, 'keep')) }
  if (facts?.isFile() !== true) return undefined
  return { kind: 'file', text: files.read(path) ?? '', mode: facts.mode & 0o7777 }
}
