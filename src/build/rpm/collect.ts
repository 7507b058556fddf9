/** Takes the packages out of a finished rpm build. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { hashFile } from '../../hash-file.ts'
import type { InstalledPackage } from '../installers/installer.ts'
import { ResultDirectory, type ResultFile } from '../results.ts'
import { packagesDirectory, sourcePackagesDirectory } from './places.ts'

/** Results as they lie in the container, before anybody has looked into them. */
export interface FoundPackage {
  readonly name: string
  /** Directory in the container. */
  readonly directory: string
}

/** rpm's names have none of what a shell, a URL or a list of files would take for something else. */
const plainPackage = /^[A-Za-z0-9][\w.+~^-]*\.rpm$/

/**
 * The packages that the build has left: sources first, then those for debugging, the one of the source's name last.
 *
 * @param upper host directory with what the build wrote
 * @param main the name of the source package
 * @throws NspawnError `BUILD_RESULTS` when there is none, or something that is none
 */
export async function findPackages(upper: string, main: string): Promise<readonly FoundPackage[]> {
  const sources = await packagesIn(upper, sourcePackagesDirectory)
  const packages = await packagesIn(upper, packagesDirectory)
  if (packages.length === 0) throw bad('the build succeeded, and left no package', 'RPMS')
  const names = [...sources, ...packages].map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw bad('it is there twice', twice)
  const rank = ({ name }: FoundPackage) =>
    /-debug(info|source)-/.test(name) ? 0 : name.replace(/-[^-]+-[^-]+$/, '') === main ? 2 : 1
  return [...sources, ...packages.toSorted((a, b) => rank(a) - rank(b))]
}

/** The only source package that a build has made, or one of those for its dependencies, by the end of its name. */
export async function findSourcePackage(
  upper: string,
  ending: '.src.rpm' | '.buildreqs.nosrc.rpm',
): Promise<string | undefined> {
  const found = await packagesIn(upper, sourcePackagesDirectory)
  const names = found.map(({ name }) => name).filter((name) => name.endsWith(ending))
  if (names.length > 1) throw bad(`there are several: ${names.join(', ')}`, 'SRPMS')
  return names[0]
}

/** The spec that an unpacked source package has. */
export async function findSpec(upper: string, directory: string): Promise<string> {
  await using place = await ResultDirectory.openIfThere(upper, directory)
  const names = ((await place?.names()) ?? []).filter((name) => name.endsWith('.spec'))
  const [name] = names
  if (name !== undefined && names.length === 1 && /^[\w][\w.+-]*$/.test(name)) return name
  throw new NspawnError('the source package has not exactly one spec', {
    code: 'SOURCE_INVALID',
    operation: 'read source package',
    subject: names.map((one) => JSON.stringify(one)).join(', '),
  })
}

/** Copies packages to `destination`, an existing, empty directory. */
export async function copyPackages(
  upper: string,
  packages: readonly FoundPackage[],
  destination: string,
  signal?: AbortSignal,
): Promise<readonly ResultFile[]> {
  const results: ResultFile[] = []
  for (const { name, directory } of packages) {
    await using place = await ResultDirectory.open(upper, directory)
    results.push(await place.copy(name, join(destination, name), signal))
  }
  return results
}

/**
 * Compares what the packages say of themselves with their names.
 *
 * @param lines of the step that has asked them
 */
export function checkNames(packages: readonly FoundPackage[], lines: readonly string[]): void {
  const said = lines.flatMap((line) => /^package (\S+)$/.exec(line)?.[1] ?? [])
  for (const [index, { name }] of packages.entries())
    // Some source packages leave sources out, and only the name of the file says so.
    if (said[index] !== name.replace(/\.nosrc\.rpm$/, '.src.rpm'))
      throw bad(`it has the name of another package, ${said[index] ?? 'which has none'}`, name)
}

/** Writes the list of what was installed, under the name and in the form that mock has for it. */
export async function writeInstalled(
  packages: readonly InstalledPackage[],
  destination: string,
): Promise<ResultFile> {
  const name = 'installed_pkgs.log'
  const path = join(destination, name)
  const lines = packages.map(
    ({ name: one, version, architecture }) => `${one}-${version}.${architecture} installed\n`,
  )
  const text = lines.join('')
  await writeFile(path, text, { flag: 'wx', mode: 0o644 })
  return { name, sizeBytes: Buffer.byteLength(text), sha256: await hashFile(path) }
}

/** Packages of a directory and of those in it: some specs divide them by architecture all the same. */
async function packagesIn(upper: string, directory: string): Promise<readonly FoundPackage[]> {
  const found: FoundPackage[] = []
  const visit = async (place: ResultDirectory, path: string, depth: number) => {
    for (const name of await place.names()) {
      const kind = await place.kindOf(name)
      if (kind === 'removed') continue
      if (kind === 'directory' && depth === 0) {
        if (!/^\w+$/.test(name)) throw bad('not a name of packages', JSON.stringify(name))
        await using below = await place.enter(name)
        await visit(below, `${path}/${name}`, 1)
      } else if (kind !== 'file') throw bad('it is no regular file', JSON.stringify(name))
      else if (plainPackage.test(name)) found.push({ name, directory: path })
      else throw bad('not a name of a package', JSON.stringify(name))
    }
  }
  await using top = await ResultDirectory.openIfThere(upper, directory)
  if (top !== undefined) await visit(top, directory, 0)
  return found
}

function bad(why: string, subject: string): NspawnError {
  return new NspawnError(`cannot take a result: ${why}`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject,
  })
}
