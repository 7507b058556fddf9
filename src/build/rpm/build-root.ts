/** The build root of an rpm build above its tree: what may be installed into it, and how it is asked for. */
import type { RpmInstaller } from '../installers/rpm-installer.ts'
import type { Subject } from '../driver.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import type { RpmFacts } from './plan.ts'

export interface BuildRoot {
  readonly session: BuildSession
  readonly installer: RpmInstaller
  readonly tree: string
  readonly toolchain: BuildLayer
  readonly subject: Subject
  readonly plan: RpmFacts
}

/** Host directories of what every build above the tree has, the lowest one first. */
export function commonLayers({ tree, toolchain }: BuildRoot): readonly string[] {
  return [tree, toolchain.upper]
}
