/** What those who look at the results of a Debian build share. */
import type { Subject } from '../../driver.ts'
import type { IndexIdentity, Installer } from '../../installers/installer.ts'
import type { LocalRepository } from '../../local-repository.ts'
import type { BuildLayer, BuildSession } from '../../session.ts'
import type { DebianBuild } from '../driver.ts'

export interface InspectedBuild {
  readonly session: BuildSession<DebianBuild>
  /** With the package sources that were asked for. */
  readonly installer: Installer
  readonly subject: Subject
  readonly indexes: IndexIdentity | undefined
  /** Ready packages, which the results may need. */
  readonly repository: LocalRepository | undefined
}

export interface Inspection extends InspectedBuild {
  /** The tree brought up to date, with nothing more. */
  readonly toolchain: BuildLayer
  /** Host directory of a layer with the results, see `resultsDirectory`. */
  readonly made: string
  /** Their names. */
  readonly files: readonly string[]
}
