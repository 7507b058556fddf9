/** A layer with packages of the repositories above the toolchain's, found or made. */
import { overlay } from '../containers.ts'
import type { Subject } from '../driver.ts'
import { fillLayer } from '../fill-layer.ts'
import { pacman } from '../installers/pacman.ts'
import type { LocalRepository } from '../local-repository.ts'
import { seeReadyPackages } from '../ready-packages.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import { installerStep } from '../toolchain-layer.ts'
import { dependencyKey } from './layer-keys.ts'
import type { ArchFacts } from './plan.ts'

/** What the parts of a build's work share. */
export interface ArchWork {
  readonly session: BuildSession
  readonly facts: ArchFacts
  readonly subject: Subject
  /** The tree's directory on the host, and the toolchain's layer above it. */
  readonly tree: string
  readonly toolchain: BuildLayer
}

/**
 * Provides the layer.
 *
 * @param kind what it is for: `dependencies`, `namcap`
 * @param packages in pacman's notation
 * @param repository ready packages that are preferred, and put in the place of those of their names
 * @returns its upper directory
 */
export async function providePackages(
  { session, facts, subject, tree, toolchain }: ArchWork,
  kind: string,
  packages: readonly string[],
  repository?: LocalRepository,
): Promise<string> {
  const key = dependencyKey(toolchain.key, packages, repository?.digest)
  const command = pacman.install(packages)
  const below = [tree, toolchain.upper]
  const ready = repository === undefined ? [] : [repository.layer]
  const { upper } = await session.layer({
    kind,
    key,
    database: pacman.database,
    fill: async (layer) => {
      await seeReadyPackages(session, pacman, subject, { repository, below, layer })
      if (packages.length === 0) return key
      await fillLayer(session, pacman, subject, layer, (lent, mark) => {
        const id = `${kind}${mark}`
        const root = overlay([...lent, ...below, ...ready], layer, id, true)
        return [installerStep({ ...command, id }, facts, root)]
      })
      return key
    },
  })
  return upper
}
