/**
 * Installs build dependencies into a layer, by means of a package that requires them. That package is made in a
 * container that nothing of the source has been in: root installs it, and the layer is kept for other builds.
 */
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { overlay } from '../containers.ts'
import { fillLayer } from '../fill-layer.ts'
import type { Writable } from '../layers.ts'
import { buildUserId } from '../places.ts'
import { seeReadyPackages } from '../ready-packages.ts'
import type { BuildLayer } from '../session.ts'
import type { Step } from '../step-runner.ts'
import { installerStep } from '../toolchain-layer.ts'
import { commonLayers, installerLayers, type BuildRoot } from './build-root.ts'
import { dependencyKey } from './layer-keys.ts'
import { requiresDirectory, requiresPackage, requiresPackageName } from './places.ts'
import { requiresStep } from './plan.ts'
import { requiresSpec } from './requires-package.ts'
import { isNothing, type Requirements } from './spec-facts.ts'

/**
 * Finds or makes the layer.
 *
 * @param id unique among the layers of a build, fit for a file name
 * @returns `undefined` where nothing is wanted
 * @throws NspawnError `DEPENDENCY_UNSATISFIABLE`, `SOURCE_INVALID`
 */
export async function provideDependencies(
  root: BuildRoot,
  wanted: Requirements,
  id: string,
): Promise<BuildLayer | undefined> {
  if (isNothing(wanted)) return undefined
  const { session, installer, toolchain, repository, subject } = root
  const key =
    toolchain.key === undefined
      ? undefined
      : dependencyKey(toolchain.key, wanted, repository?.digest)
  return session.layer({
    kind: 'dependencies',
    key,
    database: installer.database,
    fill: async (layer) => {
      const required = await makeRequiresPackage(root, wanted, id)
      const ready = { repository, below: commonLayers(root), layer, mark: `-${id}` }
      await seeReadyPackages(session, installer, subject, ready)
      await fillLayer(session, installer, subject, layer, (lent, mark) =>
        installSteps(root, wanted, { lent, required, layer }, `${id}${mark}`),
      )
      return key
    },
  })
}

/** Where dependencies are installed. */
interface FillPlaces {
  /** Layers with packages that were fetched before. */
  readonly lent: readonly string[]
  /** A layer with the package that requires them. */
  readonly required: string
  readonly layer: Writable
}

/** Installs the package that requires them, and removes it again. */
function installSteps(
  root: BuildRoot,
  { requires }: Requirements,
  { lent, required, layer }: FillPlaces,
  id: string,
): readonly Step[] {
  const { installer, plan } = root
  const below = commonLayers(root)
  const install = installer.installFiles(
    [requiresPackage],
    { fileLists: requires.some((one) => one.startsWith('/')) },
    {
      id: `dependencies-${id}`,
      title: 'install build dependencies',
      failure: 'DEPENDENCY_UNSATISFIABLE',
      hint: 'build in a tree of a release that has these packages, or add the repository that has them to the tree',
    },
  )
  const erase = {
    id: `dependencies-${id}-done`,
    title: 'forget the list of dependencies',
    command: ['rpm', '-e', requiresPackageName],
    failure: 'DEPENDENCY_INSTALL',
    hint: 'the package database of the tree is damaged',
  } as const
  const during = overlay([...lent, ...installerLayers(root), required], layer, install.id, false)
  const after = overlay(below, layer, erase.id, true)
  return [installerStep(install, plan, during), installerStep(erase, plan, after)]
}

/** A layer with the package that requires them. */
async function makeRequiresPackage(
  root: BuildRoot,
  wanted: Requirements,
  id: string,
): Promise<string> {
  const { session, subject, plan } = root
  const writable = await session.scratch(`requires-${id}`)
  const directory = join(writable.upper, requiresDirectory)
  await mkdir(directory, { recursive: true })
  await chmod(dirname(directory), 0o755)
  await chmod(directory, 0o755)
  await chown(directory, buildUserId, buildUserId)
  const path = join(directory, 'requires.spec')
  await writeFile(path, requiresSpec(wanted))
  await chmod(path, 0o644)
  const place = { layers: commonLayers(root), writable }
  await session.run(requiresStep(plan, place, `requires-${id}`), subject)
  return writable.upper
}
