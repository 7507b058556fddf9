/** A package as an archive's index describes it. */
import { NspawnError } from '../../errors.ts'
import { withoutSecrets } from '../../transfer/url.ts'
import { parseDeb822 } from './deb822.ts'
import { digestFields, readDigest, type Digest } from './digest.ts'
import type { Mirrors } from './mirrors.ts'
import { parseRelations, type Alternatives, type Target } from './relation.ts'

export interface ArchivePackage {
  readonly name: string
  readonly version: string
  /** An architecture, or `all`. */
  readonly architecture: string
  readonly essential: boolean
  readonly priority: string
  /** Whether others may name it with `:any`. */
  readonly allowed: boolean
  readonly preDepends: readonly Alternatives[]
  readonly depends: readonly Alternatives[]
  /** What it cannot be together with: `Conflicts` and `Breaks`, which for a new tree are the same. */
  readonly conflicts: readonly Alternatives[]
  readonly provides: readonly Target[]
  /** Below the archive's root. */
  readonly fileName: string
  readonly sizeBytes: number
  /** What its files take once they are in the tree, in blocks of 1024; 0 where the archive does not say. */
  readonly installedKiB: number
  readonly digest: Digest
  /** The places that have the archive. */
  readonly mirrors: Mirrors
  /** Which of the suites it is from, as they were given. */
  readonly suite: number
}

/**
 * Reads a paragraph of an index.
 *
 * @throws NspawnError `BAD_CONTROL` when something is missing or broken
 */
export function readArchivePackage(
  text: string,
  source: Pick<ArchivePackage, 'mirrors' | 'suite'>,
): ArchivePackage {
  const subject = /^Package: *(\S+)/m.exec(text)?.[1] ?? withoutSecrets(source.mirrors.first().base)
  const fields = parseDeb822(text, subject)[0]
  const need = (name: string): string => {
    const value = fields?.folded(name)
    if (value !== undefined && value !== '') return value
    throw broken(`the index has no ${name}`, subject)
  }
  const fileName = need('Filename')
  const field = digestFields.find((name) => fields?.get(name) !== undefined) ?? 'SHA256'
  const digest = readDigest(field, need(field))
  const size = need('Size')
  if (!isBelow(fileName) || !fileName.endsWith('.deb'))
    throw broken(`not a file name of an archive: ${fileName}`, subject)
  if (digest === undefined || !/^\d{1,15}$/.test(size))
    throw broken('the index has no usable hash or size', subject)
  const relations = (name: string) => parseRelations(fields?.folded(name), subject)
  const name = need('Package')
  const version = need('Version')
  const architecture = need('Architecture')
  // They become part of a file's name.
  if (!/^[a-z0-9][a-z0-9+.-]*$/.test(name) || !/^[A-Za-z0-9.+:~-]+$/.test(version))
    throw broken(`not a package: ${name} ${version}`, subject)
  return {
    ...source,
    name,
    version,
    architecture,
    essential: fields?.get('Essential') === 'yes',
    priority: fields?.get('Priority') ?? 'optional',
    allowed: fields?.get('Multi-Arch') === 'allowed',
    preDepends: relations('Pre-Depends'),
    depends: relations('Depends'),
    conflicts: [...relations('Conflicts'), ...relations('Breaks')],
    provides: relations('Provides').flat(),
    fileName,
    sizeBytes: Number(size),
    installedKiB: Number(/^\d{1,12}$/.exec(fields?.get('Installed-Size') ?? '')?.[0] ?? 0),
    digest,
  }
}

/** Whether it is a path that cannot lead out of the archive, or to another host as a URL of its own would. */
function isBelow(path: string): boolean {
  const [first, ...others] = path.split('/')
  return first !== '' && !first!.includes(':') && ![first, ...others].includes('..')
}

function broken(message: string, subject: string): NspawnError {
  return new NspawnError(message, { code: 'BAD_CONTROL', operation: 'read index', subject })
}

/** The name that apt gives the package's file. */
export function debFileName({ name, version, architecture }: ArchivePackage): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`
}
