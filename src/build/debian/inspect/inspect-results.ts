/** What is done with the results of a Debian build that are collected: lintian looks at them, they are installed for a try. */
import { chmod, link, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError, NspawnError, throwIfCanceled, usageError } from '../../../errors.ts'
import { provideToolchain } from '../../toolchain-layer.ts'
import { homeDirectory, resultsDirectory } from '../places.ts'
import type { DebianBuildOptions } from '../plan.ts'
import { askLintian } from './ask-lintian.ts'
import { checkInstallation } from './install-check.ts'
import type { InspectedBuild, Inspection } from './inspection.ts'

/**
 * Looks at them in every way that was asked for; the second is done whatever the first finds.
 *
 * @param files names of the results
 * @throws NspawnError `TEST_LINTIAN`, `TEST_INSTALL`
 */
export async function inspectResults(
  build: InspectedBuild,
  files: readonly string[],
): Promise<void> {
  const { session, installer, subject, indexes } = build
  const { lintian, installCheck } = session.request.options
  const toolchain = await provideToolchain(session, installer, subject, {
    home: homeDirectory,
    packages: [],
    indexes,
  })
  const made = join(session.place.directory, 'results-made')
  await makeResultsLayer(made, session.place.results, files)
  const inspection: Inspection = { ...build, toolchain, made, files }
  const looks = [
    ...(lintian === undefined ? [] : [() => askLintian(inspection, lintian)]),
    ...(installCheck === true ? [() => checkInstallation(inspection)] : []),
  ]
  const failures: unknown[] = []
  for (const look of looks) {
    try {
      await look()
    } catch (error) {
      throwIfCanceled(session.signal, 'looking at the results')
      failures.push(error)
    }
  }
  const [first, second] = failures
  if (second instanceof NspawnError)
    session.log({ kind: 'notice', text: `besides: ${describeError(second)}` })
  if (failures.length > 0) throw first
}

/** @throws NspawnError `USAGE`: a lock has no indexes to install anything else from */
export function refuseWithLock({
  lintian,
  installCheck,
  packageSources,
}: Pick<DebianBuildOptions, 'lintian' | 'installCheck' | 'packageSources'>): void {
  const given = {
    '--lintian': lintian !== undefined,
    '--install-check': installCheck === true,
    'package sources or pins': packageSources !== undefined,
  }
  const [name] = Object.entries(given).flatMap(([what, is]) => (is ? [what] : []))
  if (name !== undefined)
    throw usageError(
      `--from-lock goes without ${name}`,
      'the packages of a lock are all that there is',
    )
}

/** A layer with the files, that a container can look at. */
async function makeResultsLayer(
  layer: string,
  from: string,
  files: readonly string[],
): Promise<void> {
  const place = join(layer, resultsDirectory)
  await mkdir(place, { recursive: true })
  for (const path of [layer, join(layer, 'build'), place]) await chmod(path, 0o755)
  for (const file of files) await link(join(from, file), join(place, file))
}
