/**
 * Ready packages as a repository for pacman: a sync database as repo-add(8) writes it, made from what the packages
 * say of themselves, where pacman looks for those that it has fetched. So nothing is fetched.
 */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { gzipSync } from 'node:zlib'
import { NspawnError } from '../../errors.ts'
import { readTarMember } from '../archive-member.ts'
import {
  repositoryDirectory,
  repositoryName,
  type PackageFacts,
  type RepositoryPackage,
} from '../local-repository.ts'
import type { RootFile } from '../prepare-root.ts'

const infoLimitBytes = 4 * 1024 ** 2

export function isPacmanPackage(name: string): boolean {
  return /^[^/]+\.pkg\.tar(\.(?!sig$)\w+)?$/.test(name)
}

/**
 * Reads `.PKGINFO`, which makepkg puts before everything else.
 *
 * @throws NspawnError `BAD_PACKAGE`, what decompression throws
 */
export async function describePacmanPackage(
  path: string,
  signal: AbortSignal | undefined,
): Promise<PackageFacts> {
  const text = await readTarMember(createReadStream(path), {
    isWanted: (name) => name === '.PKGINFO',
    maxBytes: infoLimitBytes,
    signal,
  })
  if (text === undefined) throw bad('it has no .PKGINFO', path)
  return parsePackageInfo(text, path)
}

/** Sections of the database and what they are called in .PKGINFO, in the order that repo-add has. */
const sections: readonly (readonly [string, string])[] = [
  ['NAME', 'pkgname'],
  ['BASE', 'pkgbase'],
  ['VERSION', 'pkgver'],
  ['DESC', 'pkgdesc'],
  ['GROUPS', 'group'],
  ['ISIZE', 'size'],
  ['URL', 'url'],
  ['LICENSE', 'license'],
  ['ARCH', 'arch'],
  ['BUILDDATE', 'builddate'],
  ['PACKAGER', 'packager'],
  ['REPLACES', 'replaces'],
  ['CONFLICTS', 'conflict'],
  ['PROVIDES', 'provides'],
  ['DEPENDS', 'depend'],
  ['OPTDEPENDS', 'optdepend'],
]

/**
 * The facts of a .PKGINFO.
 *
 * @throws NspawnError `BAD_PACKAGE`
 */
export function parsePackageInfo(text: string, path: string): PackageFacts {
  const values = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^(\w+) = (.*\S)\s*$/.exec(line) ?? []
    if (key !== undefined && value !== undefined)
      values.set(key, [...(values.get(key) ?? []), value])
  }
  const all = (key: string) => values.get(key) ?? []
  const one = (key: string, pattern: RegExp): string => {
    const [value = ''] = all(key)
    if (!pattern.test(value)) throw bad(`its ${key} is none: ${value.slice(0, 80)}`, path)
    return value
  }
  const described = sections
    .flatMap(([section, key]) => {
      const found = all(key)
      return found.length === 0 ? [] : [`%${section}%\n${found.join('\n')}\n`]
    })
    .join('\n')
  return {
    name: one('pkgname', /^[A-Za-z0-9@_+][A-Za-z0-9@._+-]*$/),
    version: one('pkgver', /^(\d+:)?[^\s:/-]+-[^\s:/-]+$/),
    architecture: one('arch', /^\w+$/),
    provides: all('provides').map(packageOf),
    requires: all('depend').map((value) => [packageOf(value)]),
    entry: ({ path: file, sizeBytes, sha256 }) =>
      [
        `%FILENAME%\n${basename(file)}\n`,
        `%CSIZE%\n${sizeBytes}\n`,
        `%SHA256SUM%\n${sha256}\n`,
        described,
      ].join('\n'),
  }
}

/** The name in a dependency of pacman, without a version. */
export function packageOf(dependency: string): string {
  return dependency.replace(/[<>=].*$/s, '')
}

/** @param options lines of pacman.conf(5) that come first, in the section of options */
export function pacmanRepositoryFiles(
  packages: readonly RepositoryPackage[],
  configuration: RootFile,
  options: readonly string[],
): readonly RootFile[] {
  // A database has each name once: who was named last counts, for pacman looks into its directory first, too.
  const byName = new Map(packages.map((one) => [one.facts.name, one]))
  const entries = [...byName.values()].map((one) => ({
    directory: `${one.facts.name}-${one.facts.version}`,
    name: 'desc',
    text: one.facts.entry(one),
  }))
  const directories = packages
    .toReversed()
    .map(({ path }) => `CacheDir = /${repositoryDirectory}/${path.slice(0, path.indexOf('/'))}/`)
  const lines = [
    ...['[options]', ...options, ...directories],
    ...[`[${repositoryName}]`, 'SigLevel = Never', `Server = file:///${repositoryDirectory}`],
    ...['[options]', 'Include = /etc/pacman.conf', ''],
  ]
  return [
    { ...configuration, text: lines.join('\n') },
    {
      path: `var/lib/pacman/sync/${repositoryName}.db`,
      text: gzipSync(tarOf(entries)),
      mode: 0o644,
    },
  ]
}

interface SmallFile {
  readonly directory: string
  readonly name: string
  readonly text: string
}

const blockBytes = 512

/** A tar archive of a few files, all of nobody's making; POSIX.1-1988 has room for these names. */
function tarOf(files: readonly SmallFile[]): Buffer {
  const parts = files.flatMap(({ directory, name, text }) => {
    const data = Buffer.from(text)
    return [header(directory, name, data.length), data, padding(data.length)]
  })
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)])
}

function header(directory: string, name: string, sizeBytes: number): Buffer {
  const block = Buffer.alloc(blockBytes)
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0')
  block.write(name, 0, 100)
  block.write(octal(0o644, 7), 100)
  block.write(octal(0, 7), 108)
  block.write(octal(0, 7), 116)
  block.write(octal(sizeBytes, 11), 124)
  block.write(octal(0, 11), 136)
  // The sum counts its own field as blanks.
  block.write(' '.repeat(8), 148)
  block.write('0', 156)
  block.write('ustar\u000000', 257)
  block.write(directory, 345, 155)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${octal(sum, 6)}\0 `, 148)
  return block
}

function padding(sizeBytes: number): Buffer {
  return Buffer.alloc((blockBytes - (sizeBytes % blockBytes)) % blockBytes)
}

function bad(why: string, path: string): NspawnError {
  return new NspawnError(`cannot read the package: ${why}`, {
    code: 'BAD_PACKAGE',
    operation: 'read package',
    subject: basename(path),
  })
}
