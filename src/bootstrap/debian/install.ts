/**
 * Installs a set of packages in an empty directory. The essential ones are unpacked from outside first, so that
 * there is something to run; then the tree's own dpkg installs everything, those again, as it always does.
 */
import { throwIfCanceled } from '../../errors.ts'
import { phase } from '../../log.ts'
import { unpackTar } from '../../transfer/tar/unpack.ts'
import type { CreateContext } from '../create-context.ts'
import type { TreePlan } from '../plan.ts'
import type { ToolLog } from '../tool-log.ts'
import { TreeFiles } from '../tree-files.ts'
import { debFileName, type ArchivePackage } from './archive-package.ts'
import { dropUnusedLinks, makeBaseTree, mergeUsr, writeExtendedStates } from './base-tree.ts'
import { readTar } from './deb-file.ts'
import { inBatches, inOrder } from './order.ts'
import type { PackageIndex } from './package-index.ts'
import type { PackageSet } from './package-set.ts'
import { runDpkg } from './run-dpkg.ts'
import { Supply, type SupplyPlaces } from './supply.ts'

export interface Installation {
  /** The empty directory to fill. */
  readonly root: string
  readonly places: SupplyPlaces
  readonly packageArchitecture: string
  readonly users: TreePlan['users']
  readonly log: ToolLog
  readonly context: CreateContext
}

/** A release with one of them wants `/bin` to be a link, whatever its packages have there. */
const mergers = new Set(['usrmerge', 'usr-is-merged'])

/** Has the directories that others put their files into, and the links among them. */
const skeleton = 'base-files'

/** Asked before a service is started; 101 forbids it. */
const policy = { path: '/usr/sbin/policy-rc.d', text: '#!/bin/sh\nexit 101\n' }

/**
 * @param index tells which package is meant by a relation
 * @throws NspawnError what fetching, unpacking and dpkg throw
 */
export async function installPackages(
  index: PackageIndex,
  set: PackageSet,
  to: Installation,
): Promise<void> {
  const { root, places, packageArchitecture, users, log, context } = to
  const files = new TreeFiles(root)
  const essential = inOrder(set.essential, index)
  const others = inOrder(set.others, index)
  const merged = [...essential, ...others].some(({ name }) => mergers.has(name))
  makeBaseTree(files, packageArchitecture)
  if (merged) mergeUsr(root, packageArchitecture)
  const first = essential.toSorted(
    (a, b) => Number(b.name === skeleton) - Number(a.name === skeleton),
  )
  const supply = new Supply([...first, ...others], places, context)
  try {
    await phase(context.log, 'unpacking the essential packages', () =>
      unpackAll(supply, first, root, context),
    )
    files.write(policy.path, policy.text, 0o755)
    const dpkg = async (words: readonly string[], packages: readonly ArchivePackage[]) => {
      throwIfCanceled(context.signal, 'making a tree')
      const run = { root, packages: places.plain, users, log, context }
      await runDpkg(run, words, packages.map(debFileName))
      for (const one of packages) await supply.drop(one)
    }
    // All of them are there already, so the order in which they need each other does not matter.
    await phase(context.log, 'installing the essential packages', () =>
      dpkg(['--install', '--force-depends'], essential),
    )
    await phase(context.log, 'installing the other packages', async () => {
      for (const batch of inBatches(others, essential, index)) {
        for (const one of batch) await supply.take(one)
        await dpkg(['--no-triggers', '--unpack'], batch)
        await dpkg(['--no-triggers', '--configure', ...batch.map(({ name }) => name)], [])
      }
      // Triggers that were put off.
      await dpkg(['--configure', '--pending'], [])
    })
    // A package may have brought its own.
    if (files.read(policy.path) === policy.text) files.remove(policy.path)
  } finally {
    await supply.end()
  }
  if (merged) dropUnusedLinks(files, packageArchitecture)
  writeExtendedStates(files, set.automatic, packageArchitecture)
}

async function unpackAll(
  supply: Supply,
  packages: readonly ArchivePackage[],
  root: string,
  { signal, log }: CreateContext,
): Promise<void> {
  for (const one of packages) {
    const place = await supply.take(one)
    await unpackTar(readTar(place), root, { signal, log, directoryLinks: 'keep' })
  }
}
