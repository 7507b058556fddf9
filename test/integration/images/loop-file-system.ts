/** A file system of a given kind on a loop device, which goes away with its scope. */
import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const sizes = { btrfs: 160, xfs: 320, ext4: 64 }

export interface LoopFileSystem extends Disposable {
  /** Where it is mounted. */
  readonly path: string
}

/** @param megabytes sparse, so that a large one costs nothing */
export function loopFileSystem(
  kind: keyof typeof sizes,
  parent: string,
  megabytes = sizes[kind],
): LoopFileSystem {
  const image = join(parent, `${kind}.img`)
  const path = join(parent, kind)
  const fd = openSync(image, 'w')
  ftruncateSync(fd, megabytes << 20)
  closeSync(fd)
  execFileSync(`mkfs.${kind}`, ['-q', image])
  mkdirSync(path)
  execFileSync('mount', ['-o', 'loop', image, path])
  return {
    path,
    [Symbol.dispose]: () => {
      execFileSync('umount', ['-l', path])
      rmSync(image)
    },
  }
}
