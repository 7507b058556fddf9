/** Which trees can be locked: those whose package manager says where packages are from. */
import { NspawnError } from '../../errors.ts'
import type { Installer, PackageLocking } from '../installers/installer.ts'

export type LockingInstaller = Installer & { readonly locking: PackageLocking }

/** @throws NspawnError `INVALID_TREE` */
export function requireLocking(installer: Installer | undefined, tree: string): LockingInstaller {
  if (installer?.locking !== undefined) return { ...installer, locking: installer.locking }
  const which = installer === undefined ? 'it has no package manager' : `of ${installer.id}`
  throw new NspawnError(`the packages of this tree cannot be locked: ${which}`, {
    code: 'INVALID_TREE',
    operation: 'lock packages',
    subject: tree,
  })
}
