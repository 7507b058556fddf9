/**
 * The one layer of a build root that is made from a lock: exactly its packages, from files that were checked, in
 * containers that have no network. It stands in place of the toolchain's and the dependencies' layer.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { linkOrCopy } from '../../link-or-copy.ts'
import { builderSettings, overlay } from '../containers.ts'
import type { BuildRequest, Subject } from '../driver.ts'
import type { InstalledPackage, Installer, InstallerCommand } from '../installers/installer.ts'
import { layerKey, type Writable } from '../layers.ts'
import { prepareRoot } from '../prepare-root.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import type { Step } from '../step-runner.ts'
import { askAbove, containerFacts, treeIdentity } from '../toolchain-layer.ts'
import {
  lockDifferences,
  requireFitting,
  requireLocked,
  type FetchablePackage,
} from './differences.ts'
import { requireLocking, type LockingInstaller } from './locking.ts'
import { storePackages } from './package-store.ts'

/** Grows whenever the layer is filled in another way. */
const layerVersion = 1

/** Where package files lie while they are installed. */
const packageDirectory = 'var/cache/tsnspawn-build/locked'

/** What is above the tree, and what is installed then. */
export interface LockedRoot {
  readonly layer: BuildLayer
  readonly packages: readonly InstalledPackage[]
  readonly asked: readonly string[]
}

/**
 * Finds or makes the layer when the build was given a lock.
 *
 * @param home of the build user
 * @returns `undefined` without a lock
 * @throws NspawnError `INVALID_LOCK`, `DEPENDENCY_LOCK`, `DEPENDENCY_FETCH`, `DEPENDENCY_INSTALL`
 */
export async function provideLockedRoot<Request extends BuildRequest>(
  session: BuildSession<Request>,
  installer: Installer | undefined,
  subject: Subject,
  home: string,
): Promise<LockedRoot | undefined> {
  if (session.given === undefined) return undefined
  const { base, driver, request, log, signal } = session
  const { tree, stateDirectory } = request
  const { lock } = session.given
  const manager = requireLocking(installer, tree)
  requireFitting(lock, { driver, installer: manager.id, os: base.os })
  const own = await manager.installed([tree], askAbove(session, subject, [tree], 'look-tree'))
  const { install, remove } = lockDifferences(lock, own)
  const key = layerKey([
    ...['locked', layerVersion, manager.id, manager.version, home],
    ...(await treeIdentity(base)),
    ...[install.map((one) => [...identity(one), one.sha256]), remove.map(identity)],
  ])
  const layer = await session.layer({
    kind: 'locked',
    key,
    database: manager.database,
    fill: async ({ upper, work }) => {
      await prepareRoot(tree, upper, { home, files: manager.rootFiles })
      if (install.length > 0 || remove.length > 0) {
        const stored = await storePackages(install, { stateDirectory, tree, log, signal })
        const files = join(session.place.directory, 'locked-packages')
        const paths = await layOut(files, manager, install, stored)
        const steps = lockedSteps(session, manager.locking.apply(paths, remove), [files, tree], {
          upper,
          work,
        })
        for (const step of steps) await session.run(step, subject)
      }
      const ask = askAbove(session, subject, [tree, upper], 'look-locked')
      requireLocked(lock, await manager.installed([upper, tree], ask))
      return key
    },
  })
  return { layer, packages: lock.packages, asked: lock.asked }
}

function identity({ name, version, architecture }: InstalledPackage): readonly string[] {
  return [name, version, architecture]
}

/** Gives the stored files the names that package managers want; returns their paths in the container. */
async function layOut(
  layer: string,
  { locking }: LockingInstaller,
  packages: readonly FetchablePackage[],
  stored: readonly string[],
): Promise<readonly string[]> {
  const directory = join(layer, packageDirectory)
  await mkdir(directory, { recursive: true, mode: 0o755 })
  return Promise.all(
    packages.map(async ({ name, version, architecture }, index) => {
      const file = `${[name, version, architecture].join('_').replaceAll(':', '%3a')}${locking.extension}`
      await linkOrCopy(stored[index]!, join(directory, file))
      return `/${packageDirectory}/${file}`
    }),
  )
}

/** Calls of the package manager as root, without a network. */
function lockedSteps<Request extends BuildRequest>(
  session: BuildSession<Request>,
  commands: readonly InstallerCommand[],
  below: readonly string[],
  layer: Writable,
): readonly Step[] {
  const facts = containerFacts(session)
  return commands.map(({ command, environment = {}, ...rest }, index) => ({
    ...rest,
    settings: {
      ...builderSettings(facts, {
        root: overlay(below, layer, rest.id, index === commands.length - 1),
        command,
        user: 'root',
        directory: '/',
        environment: { ...environment, HOME: '/root' },
        options: { network: 'none', environment: {} },
      }),
      suppressSync: true,
    },
  }))
}
