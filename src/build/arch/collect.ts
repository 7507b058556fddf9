/**
 * Takes packages and logs out of what makepkg has written. The names that count are those that the PKGBUILD
 * promised; what else lies there is left out.
 */
import { chmod, link, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { ResultDirectory, type ResultFile } from '../results.ts'
import {
  logsDirectory,
  packagesDirectory,
  resultsDirectory,
  sourcePackagesDirectory,
} from './places.ts'
import type { SourceInfo } from './source-info.ts'

/** A file name that says what package is in it. */
export interface PackageFile {
  readonly file: string
  readonly name: string
  /** `[epoch:]pkgver-pkgrel`; `pkgver()` decides it, so it may be another one than the PKGBUILD had. */
  readonly version: string
  readonly architecture: string
}

/**
 * The package files among `names`: one for each package that was promised, and those with what debuggers want.
 *
 * @throws NspawnError `BUILD_RESULTS` when one is missing, or there are several of one package
 */
export function choosePackages(
  names: readonly string[],
  { name: base, packages }: Pick<SourceInfo, 'name' | 'packages'>,
): readonly PackageFile[] {
  const files = names.map(parseFileName).filter((file) => file !== undefined)
  const of = (name: string) => files.filter((file) => file.name === name)
  const chosen = packages.map((name) => {
    const [first, ...more] = of(name)
    if (first === undefined) throw bad('there is no package file', name)
    if (more.length > 0) throw bad('there is more than one package file', name)
    return first
  })
  const debug = `${base}-debug`
  return packages.includes(debug) ? chosen : [...of(debug).slice(0, 1), ...chosen]
}

/** `name-[epoch:]pkgver-pkgrel-arch.pkg.tar[.suffix]`, where only the name may have dashes. */
export function parseFileName(file: string): PackageFile | undefined {
  const match =
    /^([A-Za-z0-9@_+][A-Za-z0-9@._+-]*)-((?:\d+:)?[^\s:/-]+)-([^\s:/-]+)-(\w+)\.pkg\.tar(?:\.\w+)?$/.exec(
      file,
    )
  const [, name, version, release, architecture] = match ?? []
  if (name === undefined || architecture === undefined) return undefined
  return { file, name, version: `${version}-${release}`, architecture }
}

/**
 * Checks what the packages say of themselves, as `bsdtar` has read it: a line `file = NAME` before each.
 *
 * @throws NspawnError `BUILD_RESULTS` when a file holds another package than its name says
 */
export function checkPackages(lines: readonly string[], files: readonly PackageFile[]): void {
  const seen: { readonly file: string; readonly fields: Map<string, string> }[] = []
  for (const line of lines) {
    const [, key, value] = /^(\w+) = (.*)$/.exec(line) ?? []
    if (key === undefined || value === undefined) continue
    if (key === 'file') seen.push({ file: value, fields: new Map() })
    else seen.at(-1)?.fields.set(key, value)
  }
  for (const [index, { file, name, version, architecture }] of files.entries()) {
    const { fields, file: said } = seen[index] ?? {}
    const promised = { pkgname: name, pkgver: version, arch: architecture }
    const lie = Object.entries(promised).find(([key, value]) => fields?.get(key) !== value)
    if (said !== file || lie !== undefined)
      throw bad(`it is not the package that its name says (${lie?.[0] ?? 'file'})`, file)
  }
  if (seen.length !== files.length) throw bad('a package says more than one can be', 'packages')
}

export interface CollectedPackages {
  readonly packages: readonly PackageFile[]
  readonly results: readonly ResultFile[]
  /** Names of files that nobody had promised. */
  readonly others: readonly string[]
}

/** Copies the package files to `destination`. @throws NspawnError `BUILD_RESULTS`, `CANCELED` */
export async function collectPackages(
  upper: string,
  info: SourceInfo,
  destination: string,
  signal: AbortSignal | undefined,
): Promise<CollectedPackages> {
  await using directory = await ResultDirectory.open(upper, packagesDirectory)
  const names = await directory.names()
  const packages = choosePackages(names, info)
  const results: ResultFile[] = []
  for (const { file } of packages)
    results.push(await directory.copy(file, join(destination, file), signal))
  const taken = new Set(packages.map(({ file }) => file))
  return { packages, results, others: names.filter((name) => !taken.has(name)) }
}

/** Copies the one source package. @throws NspawnError `BUILD_RESULTS`, `CANCELED` */
export async function collectSourcePackage(
  upper: string,
  { name: base }: Pick<SourceInfo, 'name'>,
  destination: string,
  signal: AbortSignal | undefined,
): Promise<ResultFile> {
  await using directory = await ResultDirectory.open(upper, sourcePackagesDirectory)
  const found = (await directory.names()).filter(
    (name) => name.startsWith(`${base}-`) && /^[\w@.+:-]+\.src\.tar(\.\w+)?$/.test(name),
  )
  const [file] = found
  if (file === undefined) throw bad('there is no source package', base)
  if (found.length > 1) throw bad('there is more than one source package', base)
  return await directory.copy(file, join(destination, file), signal)
}

/** Copies the logs of the PKGBUILD's functions; none when there are none. */
export async function collectLogs(
  upper: string,
  { name: base }: Pick<SourceInfo, 'name'>,
  destination: string,
  signal: AbortSignal | undefined,
): Promise<readonly ResultFile[]> {
  await using directory = await ResultDirectory.open(upper, logsDirectory)
  const results: ResultFile[] = []
  for (const name of await directory.names()) {
    if (!name.startsWith(`${base}-`) || !/^[\w@.+:-]+\.log$/.test(name)) continue
    results.push(await directory.copy(name, join(destination, name), signal))
  }
  return results
}

/** Makes a layer out of collected files, so that a container can look at them. */
export async function makeResultsLayer(
  layer: string,
  from: string,
  files: readonly string[],
): Promise<void> {
  const place = join(layer, resultsDirectory)
  await mkdir(place, { recursive: true })
  for (const path of [layer, place]) await chmod(path, 0o755)
  for (const file of files) await link(join(from, file), join(place, file))
}

function bad(why: string, subject: string): NspawnError {
  return new NspawnError(`the build succeeded, but its results cannot be used: ${why}`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject,
  })
}
