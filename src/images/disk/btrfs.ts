/**
 * btrfs: made empty and filled through a mount, since mkfs.btrfs by itself loses device numbers and parts of seconds. Nobody
 * else sees that mount, and it goes away with the process that made it.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { FileSystemRequest } from './file-system.ts'
import { runTool } from './tool.ts'

/** Arguments: image, mount point, tree. Unmounting tells of what could not be written. */
const fill = 'mount -t btrfs -o loop "$1" "$2" && cp -aT -- "$3" "$2" && umount "$2"'

/** @see mkfs.btrfs(8), cp(1) */
export async function makeBtrfs(request: FileSystemRequest): Promise<void> {
  const { tree, image, id, sizeBytes, workDirectory } = request
  const fd = openSync(image, 'wx')
  ftruncateSync(fd, sizeBytes)
  closeSync(fd)
  await runTool(request, ['mkfs.btrfs', '--quiet', '--nodiscard', '--uuid', id, image])
  const place = join(workDirectory, 'btrfs')
  mkdirSync(place)
  await runTool(request, ['sh', '-c', fill, 'sh', image, place, tree])
}
