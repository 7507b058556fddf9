/** Writes down what a build root has, with the hash of each package and where it is from. */
import { NspawnError } from '../../errors.ts'
import type { BuildRequest, Subject } from '../driver.ts'
import type { InstalledPackage, Installer, PackageOrigin } from '../installers/installer.ts'
import type { BuildSession } from '../session.ts'
import { askAbove } from '../toolchain-layer.ts'
import { lockDifferences } from './differences.ts'
import type { LockedPackage } from './lock-file.ts'
import { requireLocking } from './locking.ts'
import { storePackages } from './package-store.ts'

export interface MadeRoot {
  /** Above the tree: host directories, the lowest one first. */
  readonly layers: readonly string[]
  readonly installed: readonly InstalledPackage[]
  /** What the build has been told to install. */
  readonly asked: readonly string[]
}

/**
 * Locks the packages of a build root when the build was asked to, and keeps the files of those that the tree does
 * not have: the same root can be made without a network then.
 *
 * @throws NspawnError `DEPENDENCY_LOCK` when a package that was installed is in no index; `DEPENDENCY_FETCH`
 */
export async function lockBuildRoot<Request extends BuildRequest>(
  session: BuildSession<Request>,
  installer: Installer | undefined,
  subject: Subject,
  { layers, installed, asked }: MadeRoot,
): Promise<void> {
  const { base, request, signal, log } = session
  const { tree, stateDirectory } = request
  if (request.lock?.use !== 'write') return
  const { id, locking, installed: look } = requireLocking(installer, tree)
  const ask = (where: readonly string[], name: string) =>
    askAbove(session, subject, [tree, ...where], name)
  const own = await look([tree], ask([], 'look-tree'))
  const origins = await locking.origins(installed, {
    layers: [...layers.toReversed(), tree],
    ask: ask(layers, 'look-origins'),
  })
  const packages = installed.map((one, index) => withOrigin(one, origins[index]))
  const lock = {
    format: 1 as const,
    driver: session.driver,
    installer: id,
    os: { id: base.os.id, codename: base.os.codename },
    asked: asked.toSorted(),
    packages,
  }
  requireOrigins(packages, own)
  const { install } = lockDifferences(lock, own)
  await storePackages(install, { stateDirectory, tree, log, signal })
  session.lock = { ...lock, packages: packages.map(withoutPassword) }
}

function withOrigin(
  { name, version, architecture }: InstalledPackage,
  origin: PackageOrigin | undefined,
): LockedPackage {
  return { name, version, architecture, ...origin }
}

function requireOrigins(
  packages: readonly LockedPackage[],
  own: readonly InstalledPackage[],
): void {
  const identity = ({ name, version, architecture }: InstalledPackage) =>
    `${name} ${version} ${architecture}`
  const there = new Set(own.map(identity))
  const bad = packages.find(
    (one) => !there.has(identity(one)) && !/^(https?|file):/.test(one.url ?? ''),
  )
  if (bad === undefined) return
  const why = bad.url === undefined ? 'no index of the tree has it' : `it is from ${bad.url}`
  throw new NspawnError(`cannot lock ${identity(bad)}: ${why}`, {
    code: 'DEPENDENCY_LOCK',
    operation: 'lock packages',
    subject: bad.name,
    hint: 'only packages that archives have by http, https or file can be fetched again',
  })
}

/** Whoever may see the lock need not know it. */
function withoutPassword(one: LockedPackage): LockedPackage {
  if (one.url === undefined) return one
  const url = new URL(one.url)
  url.username = ''
  url.password = ''
  return { ...one, url: url.href }
}
