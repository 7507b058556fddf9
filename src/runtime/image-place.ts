/** Where the outer child mounts the file systems of a disk image, in its own mount namespace: the tree of the container. */
import { join } from 'node:path'
import { runtimeDirectory } from '../paths.ts'

export function imagePlace(): string {
  return join(runtimeDirectory(), 'image')
}
