/** What a `.dsc`, or a source directory's own files, say about a source package. */
import { NspawnError } from '../../errors.ts'
import { stripArmour } from '../../transfer/clearsign.ts'
import { parseDeb822, type Paragraph } from '../../bootstrap/debian/deb822.ts'
import { listedFiles, type ListedFile } from './file-list.ts'
import { parseVersion } from '../../bootstrap/debian/version.ts'

export interface SourceControl {
  readonly name: string
  readonly version: string
  /** `3.0 (quilt)`, `3.0 (native)`, `1.0`. */
  readonly format: string
  /** `any`, `all`, `amd64 arm64`: what can be built, in the words of the source. */
  readonly architecture: string
  /** Each field in one line; missing ones are left out. */
  readonly buildDepends: Readonly<Partial<Record<BuildRelation, string>>>
}

export interface Dsc extends SourceControl {
  readonly files: readonly ListedFile[]
}

export const buildRelations = [
  'Build-Depends',
  'Build-Depends-Arch',
  'Build-Depends-Indep',
  'Build-Conflicts',
  'Build-Conflicts-Arch',
  'Build-Conflicts-Indep',
] as const
export type BuildRelation = (typeof buildRelations)[number]

/**
 * Reads a `.dsc`, signed or not; the signature is not looked at.
 *
 * @throws NspawnError `BAD_CONTROL`, `BAD_ARMOUR`
 */
export function parseDsc(text: string, subject: string): Dsc {
  const [paragraph, ...more] = parseDeb822(stripArmour(text), subject)
  if (paragraph === undefined || more.length > 0)
    throw bad('a .dsc has exactly one paragraph', subject)
  const name = required(paragraph, 'Source', subject)
  const version = required(paragraph, 'Version', subject)
  return { ...describe(paragraph, name, version, subject), files: listedFiles(paragraph, subject) }
}

/**
 * What `debian/control`, `debian/changelog` and `debian/source/format` say.
 *
 * @param format text of `debian/source/format`; without the file it is `1.0`
 * @throws NspawnError `BAD_CONTROL`
 */
export function parseSourceTree(
  control: string,
  changelog: string,
  format: string | undefined,
): SourceControl {
  const subject = 'debian/control'
  const paragraph = parseDeb822(control, subject)[0]
  if (paragraph === undefined) throw bad('it is empty', subject)
  const entry = /^(\S+) \(([^()\s]+)\)/.exec(changelog.trimStart())
  if (entry?.[1] === undefined || entry[2] === undefined) {
    throw bad('the first line is not "source (version) suite; urgency=…"', 'debian/changelog')
  }
  const source = required(paragraph, 'Source', subject)
  if (source !== entry[1])
    throw bad(`Source is ${source} but debian/changelog says ${entry[1]}`, subject)
  return { ...describe(paragraph, source, entry[2], subject), format: format?.trim() || '1.0' }
}

/** The directory that `dpkg-source -x` makes by default: name and upstream version. */
export function sourceDirectoryName(source: SourceControl): string {
  return `${source.name}-${parseVersion(source.version).upstream}`
}

function describe(
  paragraph: Paragraph,
  name: string,
  version: string,
  subject: string,
): SourceControl {
  if (!/^[a-z0-9][a-z0-9.+-]+$/.test(name)) throw bad(`not a source package name: ${name}`, subject)
  if (!/^(\d+:)?[0-9A-Za-z.+:~-]+$/.test(version) || version.includes('..'))
    throw bad(`not a version: ${version}`, subject)
  const buildDepends: Partial<Record<BuildRelation, string>> = {}
  for (const field of buildRelations) {
    const value = paragraph.folded(field)
    if (value !== undefined && value !== '') buildDepends[field] = value
  }
  return {
    name,
    version,
    format: paragraph.get('Format') ?? '1.0',
    architecture: paragraph.folded('Architecture') ?? 'any',
    buildDepends,
  }
}

function required(paragraph: Paragraph, field: string, subject: string): string {
  const value = paragraph.get(field)
  if (value === undefined || value === '') throw bad(`there is no ${field} field`, subject)
  return value
}

function bad(why: string, subject: string): NspawnError {
  return new NspawnError(why, { code: 'BAD_CONTROL', operation: 'read source package', subject })
}
