/** Which tree a container is made of: the path alone, nothing is made or locked. */
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { requireImage, type Image } from '../images/discover.ts'
import { machinesDirectory } from '../paths.ts'
import type { TreeChoice } from '../settings/check.ts'

export interface LocatedTree {
  /** Absolute; the tree need not be there when a template or nothing checked names it. */
  readonly path: string
  readonly access: Image['access']
}

/**
 * systemd-nspawn(1): `--directory=`, else the image of `--machine=`, else the current directory.
 *
 * @param machines `--machines-dir=`
 * @throws NspawnError, `IMAGE_NOT_FOUND` or `NOT_SUPPORTED`
 */
export function locateTree(
  { root, template }: Pick<TreeChoice, 'root' | 'template'>,
  machines: string | undefined,
): LocatedTree {
  switch (root.kind) {
    case 'directory':
      return { path: root.path, access: 'read-write' }
    case 'current-directory':
      return { path: process.cwd(), access: 'read-write' }
    case 'layers':
      return { path: root.layers[0] ?? '/', access: 'read-write' }
    case 'machine': {
      if (template !== undefined)
        return { path: join(machinesDirectory(machines), root.name), access: 'read-write' }
      const image = requireImage(root.name, machines)
      if (image.type !== 'raw' && image.type !== 'block')
        return { path: image.path, access: image.access }
      throw new NspawnError('disk images cannot be run by this version', {
        code: 'NOT_SUPPORTED',
        subject: image.path,
        hint: 'use a directory tree',
      })
    }
  }
}
