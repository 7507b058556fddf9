/** What is done with packages that have been made: they are read to their end, installed for a try, looked at. */
import { join } from 'node:path'
import { describeError, NspawnError } from '../../errors.ts'
import { overlay } from '../containers.ts'
import type { LocalRepository } from '../local-repository.ts'
import { installerStep } from '../toolchain-layer.ts'
import { checkPackages, makeResultsLayer, type PackageFile } from './collect.ts'
import { providePackages, type ArchWork } from './package-layer.ts'
import { installCheckCommand, lookStep, namcapStep } from './plan.ts'

/**
 * Reads collected packages to their end.
 *
 * @throws NspawnError `BUILD_RESULTS` when one is not what its name says
 */
export async function requireWhole(
  work: ArchWork,
  packages: readonly PackageFile[],
): Promise<void> {
  const { session, facts, subject, tree, toolchain } = work
  const files = packages.map(({ file }) => file)
  await makeResultsLayer(resultsLayer(work), session.place.results, files)
  const layers = [tree, toolchain.upper, resultsLayer(work)]
  const looking = { layers, writable: await session.scratch('packages') }
  checkPackages(await session.read(lookStep(facts, looking, files), subject), packages)
}

/**
 * Looks at packages that are whole in every way that was asked for.
 *
 * @param repository ready packages, which the collected ones may need
 * @throws NspawnError `TEST_INSTALL`
 */
export async function lookAtPackages(
  work: ArchWork,
  packages: readonly PackageFile[],
  repository?: LocalRepository,
): Promise<void> {
  const { session, facts, subject, tree, toolchain } = work
  const files = packages.map(({ file }) => file)
  const made = resultsLayer(work)
  const layers = [tree, toolchain.upper, made]
  if (facts.options.installCheck) {
    // Nothing but the toolchain is there: what the packages need must be said by them, and be in a repository.
    const command = installCheckCommand(files)
    const ready = repository === undefined ? [] : [repository.layer]
    const root = overlay(
      [...layers, ...ready],
      await session.scratch(command.id),
      command.id,
      false,
    )
    await session.run(installerStep(command, facts, root), subject)
  }
  if (facts.options.namcap) await runNamcap(work, made, files)
}

function resultsLayer({ session }: ArchWork): string {
  return join(session.place.directory, 'packages-made')
}

/** What it says is told and recorded; whatever happens, the packages stay. */
async function runNamcap(work: ArchWork, made: string, files: readonly string[]): Promise<void> {
  const { session, facts, subject, tree, toolchain } = work
  try {
    const upper = await providePackages(work, 'namcap', ['namcap'])
    const layers = [tree, toolchain.upper, upper, session.place.sources, made]
    const place = { layers, writable: await session.scratch('namcap') }
    const lines = await session.read(namcapStep(facts, place, files), subject)
    const lint = lines.filter((line) => / [EW]: /.test(line))
    session.note({ lint })
    for (const text of lint) session.log({ kind: 'notice', text: `namcap: ${text}` })
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    session.log({ kind: 'warning', text: `namcap did not look: ${describeError(error)}` })
  }
}
