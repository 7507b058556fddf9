/** Lets the package manager that fills a layer know of ready packages. */
import type { BuildRequest, Subject } from './driver.ts'
import type { Installer } from './installers/installer.ts'
import { overlay } from './containers.ts'
import type { Writable } from './layers.ts'
import type { LocalRepository } from './local-repository.ts'
import type { BuildSession } from './session.ts'
import { askAbove, containerFacts, installerStep } from './toolchain-layer.ts'

export interface ReadyPlaces {
  readonly repository: LocalRepository | undefined
  /** Absolute host directories of the layers below, the lowest one first. */
  readonly below: readonly string[]
  /** The layer that is filled. */
  readonly layer: Writable
  /** Ends the ids of the steps, which must not come twice. */
  readonly mark?: string | undefined
}

/**
 * Has the repository read, and its packages put in the place of those of the same names that are installed already.
 *
 * @throws NspawnError as `runStep()`
 */
export async function seeReadyPackages<Request extends BuildRequest>(
  session: BuildSession<Request>,
  installer: Installer,
  subject: Subject,
  { repository, below, layer, mark = '' }: ReadyPlaces,
): Promise<void> {
  const format = installer.repository
  if (repository === undefined || format === undefined) return
  const ask = askAbove(session, subject, below, `look-ready${mark}`)
  const installed = new Set(
    (await installer.installed(below.toReversed(), ask)).map(({ name }) => name),
  )
  const upgrade = repository.packages.some(({ facts }) => installed.has(facts.name))
  for (const command of format.commands({ upgrade })) {
    const id = `${command.id}${mark}`
    const root = overlay([...below, repository.layer], layer, id, false)
    await session.run(installerStep({ ...command, id }, containerFacts(session), root), subject)
  }
}
