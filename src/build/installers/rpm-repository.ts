/**
 * Ready packages as a repository for dnf and zypper: repomd.xml and primary.xml as createrepo_c(8) writes them, made
 * from the headers of the packages, so that no tree needs a program for it.
 */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { NspawnError } from '../../errors.ts'
import {
  repositoryDirectory,
  repositoryName,
  type PackageFacts,
  type RepositoryPackage,
} from '../local-repository.ts'
import type { RootFile } from '../prepare-root.ts'
import { readRpmHeader, type RpmHeader } from './rpm-header.ts'

/** Tags by their numbers, see rpm's "Tags". */
const tags = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  summary: 1004,
  description: 1005,
  buildTime: 1006,
  buildHost: 1007,
  size: 1009,
  vendor: 1011,
  license: 1014,
  packager: 1015,
  group: 1016,
  url: 1020,
  architecture: 1022,
  fileModes: 1030,
  fileFlags: 1037,
  sourcePackage: 1044,
  directoryIndexes: 1116,
  baseNames: 1117,
  directoryNames: 1118,
} as const

/** Names, flags and versions of each kind of relation, and what primary.xml calls it. */
const relations = {
  provides: [1047, 1112, 1113],
  requires: [1049, 1048, 1050],
  conflicts: [1054, 1053, 1055],
  obsoletes: [1090, 1114, 1115],
  recommends: [5046, 5048, 5047],
  suggests: [5049, 5051, 5050],
  supplements: [5052, 5054, 5053],
  enhances: [5055, 5057, 5056],
} as const

interface Relation {
  readonly name: string
  readonly flags: number
  readonly version: string
}

/** Binary packages; those of sources are not installed. */
export function isRpmPackage(name: string): boolean {
  return name.endsWith('.rpm') && !/\.(src|nosrc)\.rpm$/.test(name)
}

/**
 * Reads the header of a package.
 *
 * @throws NspawnError `BAD_PACKAGE`, an errno name
 */
export async function describeRpm(path: string): Promise<PackageFacts> {
  const header = await readRpmHeader(path)
  const one = (tag: number) => header.strings(tag)[0] ?? ''
  const [name, version, release] = [one(tags.name), one(tags.version), one(tags.release)]
  const [architecture, source] = [one(tags.architecture), one(tags.sourcePackage)]
  const odd = [name, version, release, architecture].some(
    (text) => !/^[\w.+~^]+[\w.+~^-]*$/.test(text),
  )
  if (odd || source === '') {
    throw new NspawnError('cannot read the package: its header does not say what it is', {
      code: 'BAD_PACKAGE',
      operation: 'read rpm header',
      subject: path,
    })
  }
  const [epoch = 0] = header.numbers(tags.epoch)
  return {
    name,
    version: `${epoch === 0 ? '' : `${epoch}:`}${version}-${release}`,
    architecture,
    provides: [
      ...relationsOf(header, 'provides').map((relation) => relation.name),
      ...filesOf(header),
    ],
    requires: relationsOf(header, 'requires').map((relation) => namesInDependency(relation.name)),
    entry: ({ path: href, sizeBytes, sha256 }) =>
      [
        '<package type="rpm">',
        element('name', name),
        element('arch', architecture),
        `<version epoch="${epoch}" ver="${escape(version)}" rel="${escape(release)}"/>`,
        `<checksum type="sha256" pkgid="YES">${sha256}</checksum>`,
        ...(['summary', 'description', 'packager', 'url'] as const).map((key) =>
          element(key, one(tags[key])),
        ),
        `<time file="0" build="${header.numbers(tags.buildTime)[0] ?? 0}"/>`,
        `<size package="${sizeBytes}" installed="${header.numbers(tags.size)[0] ?? 0}" archive="0"/>`,
        `<location href="${escape(href)}"/>`,
        '<format>',
        element('rpm:license', one(tags.license)),
        element('rpm:vendor', one(tags.vendor)),
        element('rpm:group', one(tags.group)),
        element('rpm:buildhost', one(tags.buildHost)),
        element('rpm:sourcerpm', source),
        `<rpm:header-range start="${header.start}" end="${header.end}"/>`,
        ...relationElements(header),
        ...fileElements(header),
        '</format>',
        '</package>',
        '',
      ].join('\n'),
  }
}

/**
 * The names that a dependency is satisfied by: one, or all that a rich one has. Which of these it takes is the
 * solver's business.
 */
export function namesInDependency(dependency: string): readonly string[] {
  if (!dependency.startsWith('(')) return [dependency.replace(/\s.*$/s, '')]
  const words = dependency
    .replaceAll(/(?:<|>|=)+\s+\S+?(?=\)*(?:\s|$))/g, ' ')
    .split(/\s+/)
    .map((word) => {
      const plain = word.replace(/^\(+/, '')
      // Of "pkgconfig(x))" only the last one closes what was opened before.
      const opened = plain.split('(').length - 1
      const closed = plain.split(')').length - 1
      return closed > opened ? plain.slice(0, plain.length - (closed - opened)) : plain
    })
  const operators = ['and', 'or', 'if', 'else', 'with', 'without', 'unless', '']
  return [...new Set(words.filter((word) => !operators.includes(word)))]
}

/**
 * The repository's index and its configuration.
 *
 * @param file of the package manager
 * @param lines what only this one knows
 */
export function rpmRepositoryFiles(
  packages: readonly RepositoryPackage[],
  file: string,
  lines: readonly string[],
): readonly RootFile[] {
  const primary = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<metadata xmlns="${namespace}/common" xmlns:rpm="${namespace}/rpm" packages="${packages.length}">`,
    ...packages.map((one) => one.facts.entry(one)),
    '</metadata>',
    '',
  ].join('\n')
  const packed = gzipSync(primary)
  const repomd = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<repomd xmlns="${namespace}/repo" xmlns:rpm="${namespace}/rpm">`,
    '<revision>0</revision>',
    '<data type="primary">',
    `<checksum type="sha256">${digest(packed)}</checksum>`,
    `<open-checksum type="sha256">${digest(primary)}</open-checksum>`,
    '<location href="repodata/primary.xml.gz"/>',
    '<timestamp>0</timestamp>',
    `<size>${packed.length}</size>`,
    `<open-size>${Buffer.byteLength(primary)}</open-size>`,
    '</data>',
    '</repomd>',
    '',
  ].join('\n')
  const configuration = [
    `[${repositoryName}]`,
    'name=packages that were built before',
    `baseurl=file:///${repositoryDirectory}`,
    ...['enabled=1', 'gpgcheck=0', 'repo_gpgcheck=0', 'priority=1', ...lines, ''],
  ].join('\n')
  const text = (path: string, content: string | Buffer) => ({ path, text: content, mode: 0o644 })
  return [
    text(`${repositoryDirectory}/repodata/primary.xml.gz`, packed),
    text(`${repositoryDirectory}/repodata/repomd.xml`, repomd),
    text(file, configuration),
  ]
}

/** What to try when a manager cannot use it. */
export const readyHint = 'the packages do not fit into the build root; the lines above say why'

const namespace = 'http://linux.duke.edu/metadata'

function relationsOf(header: RpmHeader, kind: keyof typeof relations): readonly Relation[] {
  const [names, flags, versions] = relations[kind]
  const [allFlags, allVersions] = [header.numbers(flags), header.strings(versions)]
  return header
    .strings(names)
    .map((name, nth) => ({ name, flags: allFlags[nth] ?? 0, version: allVersions[nth] ?? '' }))
    .filter(({ name }) => !name.startsWith('rpmlib('))
}

/** Bits of flags: less 2, greater 4, equal 8; needed by scripts before the package is there. */
const comparisons: Readonly<Record<number, string>> = {
  2: 'LT',
  4: 'GT',
  8: 'EQ',
  10: 'LE',
  12: 'GE',
}
const before = 0x1340

function relationElements(header: RpmHeader): readonly string[] {
  return (Object.keys(relations) as (keyof typeof relations)[]).flatMap((kind) => {
    const found = relationsOf(header, kind)
    if (found.length === 0) return []
    const entries = found.map(({ name, flags, version }) => {
      const comparison = comparisons[flags & 14]
      const compared =
        comparison === undefined || version === ''
          ? ''
          : ` flags="${comparison}" ${versionAttributes(version)}`
      const early = kind === 'requires' && (flags & before) !== 0 ? ' pre="1"' : ''
      return `<rpm:entry name="${escape(name)}"${compared}${early}/>`
    })
    return [`<rpm:${kind}>`, ...entries, `</rpm:${kind}>`]
  })
}

function versionAttributes(text: string): string {
  const [, epoch = '0', version = '', release] = /^(?:(\d+):)?([^-]*)(?:-(.*))?$/s.exec(text) ?? []
  const last = release === undefined ? '' : ` rel="${escape(release)}"`
  return `epoch="${epoch}" ver="${escape(version)}"${last}`
}

function filesOf(header: RpmHeader): readonly string[] {
  const directories = header.strings(tags.directoryNames)
  const indexes = header.numbers(tags.directoryIndexes)
  return header
    .strings(tags.baseNames)
    .map((name, nth) => `${directories[indexes[nth] ?? 0] ?? ''}${name}`)
}

const directoryBits = 0o040000
const ghost = 0x40

function fileElements(header: RpmHeader): readonly string[] {
  const [modes, flags] = [header.numbers(tags.fileModes), header.numbers(tags.fileFlags)]
  return filesOf(header).map((path, nth) => {
    const isDirectory = ((modes[nth] ?? 0) & 0o170000) === directoryBits
    const type = isDirectory
      ? ' type="dir"'
      : ((flags[nth] ?? 0) & ghost) === 0
        ? ''
        : ' type="ghost"'
    return `<file${type}>${escape(path)}</file>`
  })
}

function element(name: string, text: string): string {
  return `<${name}>${escape(text)}</${name}>`
}

/** XML 1.0 has no way to write other control characters. */
function escape(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  )
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
