/** Takes out what a finished build's `.changes` names, and only that. */
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { ResultDirectory, type ResultFile } from '../results.ts'
import { parseDeb822 } from '../../bootstrap/debian/deb822.ts'
import { listedFiles } from './file-list.ts'
import { buildDirectory } from './places.ts'
import type { SourceControl } from './source-control.ts'
import { fileVersion } from '../../bootstrap/debian/version.ts'

const changesLimitBytes = 16 * 1024 ** 2

/**
 * Copies the `.changes` and every file that it names, sizes and hashes checked, to `destination`.
 *
 * @param upper host directory with what the build wrote
 * @param destination absolute; an existing directory without these names
 * @throws NspawnError `BUILD_RESULTS`, `CANCELED`
 */
export async function collectChanges(
  upper: string,
  control: Pick<SourceControl, 'name' | 'version'>,
  destination: string,
  signal?: AbortSignal,
): Promise<readonly ResultFile[]> {
  const directory = await ResultDirectory.open(upper, buildDirectory)
  try {
    const prefix = `${control.name}_${fileVersion(control.version)}_`
    const candidates = (await directory.names()).filter(
      (name) => name.startsWith(prefix) && name.endsWith('.changes'),
    )
    const [changes] = candidates
    if (changes === undefined) throw bad(`there is no ${prefix}*.changes`, control.name)
    if (candidates.length > 1)
      throw bad(`there is more than one: ${candidates.join(', ')}`, control.name)
    const text = await directory.readText(changes, changesLimitBytes)
    const paragraph = parseDeb822(text, changes)[0]
    if (paragraph === undefined) throw bad('it is empty', changes)
    const results: ResultFile[] = []
    for (const file of listedFiles(paragraph, changes)) {
      const copied = await directory.copy(file.name, join(destination, file.name), signal)
      if (copied.sha256 !== file.sha256 || copied.sizeBytes !== file.sizeBytes) {
        throw bad('it is not the file that the .changes names', file.name)
      }
      results.push(copied)
    }
    const buildinfo = results.find(({ name }) => name.endsWith('.buildinfo'))
    if (buildinfo !== undefined) {
      const info = await directory.readText(buildinfo.name, changesLimitBytes)
      requireSameFiles(info, buildinfo.name, results)
    }
    results.push(await directory.copy(changes, join(destination, changes), signal))
    return results
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'BAD_CONTROL') throw error
    throw new NspawnError('cannot read what the build says of its results', {
      code: 'BUILD_RESULTS',
      cause: error,
    })
  } finally {
    await directory[Symbol.asyncDispose]()
  }
}

/** deb-buildinfo(5): whoever builds again compares with what it says, so it has to speak of these very files. */
function requireSameFiles(text: string, subject: string, results: readonly ResultFile[]): void {
  const [paragraph] = parseDeb822(text, subject)
  if (paragraph === undefined) throw bad('it is empty', subject)
  const told = listedFiles(paragraph, subject)
  for (const { name, sizeBytes, sha256 } of results) {
    const file = told.find((one) => one.name === name)
    if (file === undefined ? name.endsWith('.deb') : file.sha256 !== sha256)
      throw bad('it is not the file that the .buildinfo names', name)
    if (file !== undefined && file.sizeBytes !== sizeBytes)
      throw bad('it has not the size that the .buildinfo names', name)
  }
}

function bad(why: string, subject: string): NspawnError {
  return new NspawnError(`the build succeeded, but its results cannot be used: ${why}`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject,
  })
}
