/** The build root of an rpm build above its tree: what may be installed into it, and how it is asked for. */
import type { RpmInstaller } from '../installers/rpm-installer.ts'
import type { LocalRepository } from '../local-repository.ts'
import type { Subject } from '../driver.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import type { RpmFacts } from './plan.ts'

export interface BuildRoot {
  readonly session: BuildSession
  readonly installer: RpmInstaller
  readonly tree: string
  readonly toolchain: BuildLayer
  /** Ready packages, seen by the package manager alone. */
  readonly repository: LocalRepository | undefined
  readonly subject: Subject
  readonly plan: RpmFacts
}

/** Host directories of what every build above the tree has, the lowest one first. */
export function commonLayers({ tree, toolchain }: BuildRoot): readonly string[] {
  return [tree, toolchain.upper]
}

/** The same, as the package manager sees it when it installs. */
export function installerLayers(root: BuildRoot): readonly string[] {
  const { repository } = root
  return [...commonLayers(root), ...(repository === undefined ? [] : [repository.layer])]
}
