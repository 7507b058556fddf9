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
  if (repository === undefined) return
  const id = `look-ready${mark}`
  const replaced = await replacedPackages(session, installer, subject, { repository, below, id })
  const commands = installer.repository.commands(replaced)
  for (const [index, command] of commands.entries()) {
    const step = { ...command, id: `${command.id}${mark}` }
    // It may be the last one that writes to a layer that is kept.
    const keep = index === commands.length - 1
    const root = overlay([...below, repository.layer], layer, step.id, keep)
    await session.run(installerStep(step, containerFacts(session), root), subject)
  }
}

/** Names of ready packages under which others are installed in the layers below. */
export async function replacedPackages<Request extends BuildRequest>(
  session: BuildSession<Request>,
  installer: Installer,
  subject: Subject,
  { repository, below, id }: Pick<ReadyPlaces, 'repository' | 'below'> & { readonly id: string },
): Promise<readonly string[]> {
  const names = new Set(repository?.packages.map(({ facts }) => facts.name))
  if (names.size === 0) return []
  const ask = askAbove(session, subject, below, id)
  const installed = await installer.installed(below.toReversed(), ask)
  return [...new Set(installed.map(({ name }) => name))].filter((name) => names.has(name))
}
