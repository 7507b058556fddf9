/** Ready .deb files as a repository for apt: apt-secure(8) without a signature, and a pin that lets it win. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { openControlArchive } from '../../bootstrap/debian/deb-file.ts'
import { parseDeb822, type Paragraph } from '../../bootstrap/debian/deb822.ts'
import { parseRelations } from '../../bootstrap/debian/relation.ts'
import { NspawnError } from '../../errors.ts'
import { readTarMember } from '../archive-member.ts'
import {
  repositoryDirectory,
  repositoryName,
  type PackageFacts,
  type RepositoryPackage,
} from '../local-repository.ts'
import type { RootFile } from '../prepare-root.ts'

/** No package of Debian has so long a control file. */
const controlLimitBytes = 4 * 1024 ** 2

/** The list of package sources, which is read alone when only this repository is. */
export const sourceList = `etc/apt/sources.list.d/${repositoryName}.list`

/**
 * Reads the control file of a package.
 *
 * @throws NspawnError `BAD_PACKAGE`, `BAD_CONTROL`, what decompression throws
 */
export async function describeDeb(
  path: string,
  signal: AbortSignal | undefined,
): Promise<PackageFacts> {
  const text = await readTarMember(await openControlArchive(path), {
    isWanted: (name) => name === './control' || name === 'control',
    maxBytes: controlLimitBytes,
    signal,
  })
  if (text === undefined) throw bad('it has no control file', path)
  return parseControl(text, path)
}

/**
 * The facts of a control file.
 *
 * @throws NspawnError `BAD_PACKAGE`, `BAD_CONTROL`
 */
export function parseControl(text: string, path: string): PackageFacts {
  const [paragraph, ...more] = parseDeb822(text, path)
  if (paragraph === undefined || more.length > 0) throw bad('its control file is none', path)
  const value = (field: string, pattern: RegExp): string => {
    const found = paragraph.get(field) ?? ''
    if (!pattern.test(found)) throw bad(`its ${field} is none: ${found.slice(0, 80)}`, path)
    return found
  }
  return {
    name: value('Package', /^[a-z0-9][a-z0-9.+-]+$/),
    version: value('Version', /^[0-9A-Za-z.+:~-]+$/),
    architecture: value('Architecture', /^[a-z0-9-]+$/),
    provides: relations(paragraph, 'Provides', path).map(([{ name }]) => name),
    requires: [
      ...relations(paragraph, 'Pre-Depends', path),
      ...relations(paragraph, 'Depends', path),
    ].map((targets) => targets.map(({ name }) => name)),
    entry: ({ path: file, sizeBytes, sha256 }) =>
      [
        ...indexLines(text),
        `Filename: ./${file}`,
        `Size: ${sizeBytes}`,
        `SHA256: ${sha256}`,
        '',
      ].join('\n'),
  }
}

/** Packages, the Release file that vouches for it, and apt's configuration. Pure. */
export function aptRepositoryFiles(packages: readonly RepositoryPackage[]): readonly RootFile[] {
  const index = packages.map((one) => one.facts.entry(one)).join('\n')
  const digest = createHash('sha256').update(index).digest('hex')
  const release = [
    `Origin: ${repositoryName}`,
    `Label: ${repositoryName}`,
    'Description: packages that were built before',
    // apt wants to have one; it is the same for the same packages.
    'Date: Thu, 01 Jan 1970 00:00:00 +0000',
    'SHA256:',
    ` ${digest} ${Buffer.byteLength(index)} Packages`,
    '',
  ].join('\n')
  const file = (path: string, text: string): RootFile => ({ path, text, mode: 0o644 })
  return [
    file(`${repositoryDirectory}/Packages`, index),
    file(`${repositoryDirectory}/Release`, release),
    file(sourceList, `deb [trusted=yes] file:/${repositoryDirectory} ./\n`),
    file(
      `etc/apt/preferences.d/${repositoryName}`,
      // apt_preferences(5): above 1000 even where it is older than what is there.
      `Package: *\nPin: release o=${repositoryName}\nPin-Priority: 1001\n`,
    ),
  ]
}

/** A control file may have what only an index may say, and comments. */
function indexLines(text: string): readonly string[] {
  const kept: string[] = []
  let skipping = false
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd()
    if (line === '' || line.startsWith('#')) continue
    if (!/^[ \t]/.test(line))
      skipping = /^(filename|size|md5sum|sha1|sha256|sha512|description-md5)\s*:/i.test(line)
    if (!skipping) kept.push(line)
  }
  return kept
}

function relations(paragraph: Paragraph, field: string, path: string) {
  return parseRelations(paragraph.folded(field), path)
}

function bad(why: string, path: string): NspawnError {
  return new NspawnError(`cannot read the package: ${why}`, {
    code: 'BAD_PACKAGE',
    operation: 'read .deb',
    subject: basename(path),
  })
}
