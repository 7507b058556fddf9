/** What has to be done to a tree until it has the packages of a lock, and no others. Pure. */
import { NspawnError } from '../../errors.ts'
import type { InstalledPackage, PackageOrigin } from '../installers/installer.ts'
import type { BuildLock } from './lock-file.ts'

/** A package whose file is known. */
export interface FetchablePackage extends InstalledPackage, PackageOrigin {}

export interface LockDifferences {
  readonly install: readonly FetchablePackage[]
  /** Those whose name the lock does not have. */
  readonly remove: readonly InstalledPackage[]
}

/** Packages for all architectures, in each family's word. */
const independent = new Set(['all', 'any', 'noarch'])

/**
 * What `installed` lacks, and has too much.
 *
 * @param installed what is in the tree
 * @throws NspawnError `DEPENDENCY_LOCK` when a package is nowhere to be had, or is for other machines
 */
export function lockDifferences(
  lock: BuildLock,
  installed: readonly InstalledPackage[],
): LockDifferences {
  const there = new Set(installed.map(identity))
  const architectures = new Set(installed.map(({ architecture }) => architecture))
  const install = lock.packages
    .filter((one) => !there.has(identity(one)))
    .map((one): FetchablePackage => {
      const { url, sizeBytes, sha256, architecture } = one
      if (!independent.has(architecture) && !architectures.has(architecture))
        throw unfit(`${identity(one)} is for machines that the tree is not for`, one.name)
      if (url !== undefined && sizeBytes !== undefined && sha256 !== undefined)
        return { ...one, url, sizeBytes, sha256 }
      throw unfit(
        `the tree does not have ${identity(one)}, and the lock does not say where it is from`,
        one.name,
      )
    })
  const names = new Set(lock.packages.map(place))
  return { install, remove: installed.filter((one) => !names.has(place(one))) }
}

/**
 * Makes sure that what is installed is what the lock says.
 *
 * @throws NspawnError `DEPENDENCY_LOCK` with the first packages that differ
 */
export function requireLocked(lock: BuildLock, installed: readonly InstalledPackage[]): void {
  const wanted = new Set(lock.packages.map(identity))
  const there = new Set(installed.map(identity))
  const differing = [
    ...[...wanted].filter((one) => !there.has(one)).map((one) => `missing is ${one}`),
    ...[...there].filter((one) => !wanted.has(one)).map((one) => `too much is ${one}`),
  ]
  if (differing.length === 0) return
  const more = differing.length > 5 ? `, and ${differing.length - 5} more` : ''
  throw unfit(
    `what was installed is not what the lock says: ${differing.slice(0, 5).join('; ')}${more}`,
    'packages',
  )
}

/**
 * Makes sure that nothing would have to be installed beside what is locked.
 *
 * @param missing dependencies of the source, in the installer's notation
 * @throws NspawnError `DEPENDENCY_LOCK`
 */
export function requireAllLocked(missing: readonly string[]): void {
  if (missing.length === 0) return
  throw new NspawnError(`the lock lacks build dependencies: ${missing.join(', ')}`, {
    code: 'DEPENDENCY_LOCK',
    operation: 'compare lock',
    hint: 'the lock may be of another version of the source: make another one with --lock',
  })
}

/**
 * Makes sure that a lock is one for this kind of build and tree.
 *
 * @throws NspawnError `INVALID_LOCK`
 */
export function requireFitting(
  { driver, installer, os }: BuildLock,
  build: {
    readonly driver: string
    readonly installer: string
    readonly os: { readonly id: string | undefined; readonly codename: string | undefined }
  },
): void {
  const refuse = (why: string) => {
    throw new NspawnError(`the lock is not for this build: ${why}`, {
      code: 'INVALID_LOCK',
      operation: 'compare lock',
      hint: 'make one for it with --lock',
    })
  }
  if (driver !== build.driver) refuse(`it was made by a ${driver} build`)
  if (installer !== build.installer)
    refuse(`its packages are ${installer}'s, those of the tree ${build.installer}'s`)
  const words = ({ id = 'unknown', codename }: BuildLock['os']) => [id, codename ?? ''].join(' ')
  if (words(os) !== words(build.os))
    refuse(`it was made in ${words(os).trim()}, the tree is ${words(build.os).trim()}`)
}

function identity({ name, version, architecture }: InstalledPackage): string {
  return `${name} ${version} ${architecture}`
}

function place({ name, architecture }: InstalledPackage): string {
  return `${name} ${independent.has(architecture) ? '' : architecture}`
}

function unfit(message: string, subject: string): NspawnError {
  return new NspawnError(message, {
    code: 'DEPENDENCY_LOCK',
    operation: 'compare lock',
    subject,
    hint: 'build in the tree that the lock was made with, or make another lock with --lock',
  })
}
