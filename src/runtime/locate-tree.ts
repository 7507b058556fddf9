/** Which tree a container is made of: the path alone, nothing is made or locked. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { isDisk, isMarkedReadOnly, requireImage, type Image } from '../images/discover.ts'
import { machinesDirectory } from '../paths.ts'
import type { TreeChoice } from '../settings/check.ts'

export interface LocatedTree {
  /** Absolute; the tree need not be there when a template or nothing checked names it. */
  readonly path: string
  /** `image`: a disk image or block device. */
  readonly kind: 'directory' | 'image'
  readonly access: Image['access']
}

/**
 * systemd-nspawn(1): `--directory=` or `--image=`, else the image of `--machine=`, else the current directory.
 *
 * @param machines `--machines-dir=`
 * @throws NspawnError `IMAGE_NOT_FOUND`
 */
export function locateTree(
  { root, template }: Pick<TreeChoice, 'root' | 'template'>,
  machines: string | undefined,
): LocatedTree {
  switch (root.kind) {
    case 'directory':
      return tree(root.path)
    case 'current-directory':
      return tree(process.cwd())
    case 'layers':
      return tree(root.layers[0] ?? '/')
    case 'image':
      return { path: root.path, kind: 'image', access: imageAccess(root.path) }
    case 'machine': {
      if (template !== undefined) return tree(join(machinesDirectory(machines), root.name))
      const { path, access, type } = requireImage(root.name, machines)
      return { path, access, kind: isDisk(type) ? 'image' : 'directory' }
    }
  }
}

function tree(path: string): LocatedTree {
  return { path, kind: 'directory', access: 'read-write' }
}

/** @throws NspawnError `ENOENT` */
function imageAccess(path: string): Image['access'] {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined)
    return isMarkedReadOnly(path) ? 'read-only' : 'read-write'
  throw new NspawnError('the disk image does not exist', {
    code: 'ENOENT',
    operation: 'stat',
    subject: path,
    hint: 'name a file or a block device with --image=',
  })
}
