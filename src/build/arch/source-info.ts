/**
 * What `makepkg --printsrcinfo` says of a PKGBUILD. A PKGBUILD is a program, and it wrote these lines: only
 * what has the form of a name, a version or a digest becomes one here.
 */
import { NspawnError } from '../../errors.ts'

export interface SourceInfo {
  /** `pkgbase`. */
  readonly name: string
  /** `[epoch:]pkgver-pkgrel`. */
  readonly version: string
  readonly architectures: readonly string[]
  /** The packages that come of it. */
  readonly packages: readonly string[]
  /** What they stand in for, in pacman's notation. */
  readonly provides: readonly string[]
  /** Of `depends`, `makedepends` and `checkdepends`, those for the architecture too. */
  readonly depends: Readonly<Record<DependencyField, readonly string[]>>
  readonly sources: readonly PackageSource[]
}

export const dependencyFields = ['depends', 'makedepends', 'checkdepends'] as const
export type DependencyField = (typeof dependencyFields)[number]

/** One entry of `source`. */
export interface PackageSource {
  readonly text: string
  /** The name that makepkg gives it. */
  readonly name: string
  /** A file beside the PKGBUILD, a file from elsewhere, or a repository of a version control. */
  readonly kind: 'local' | 'file' | 'repository'
  /** The strongest that there is, of those that nobody can forge. */
  readonly digest?: SourceDigest | undefined
}

export interface SourceDigest {
  /** As OpenSSL calls it. */
  readonly algorithm: 'blake2b512' | 'sha512' | 'sha384' | 'sha256'
  /** Lower-case hexadecimal digits. */
  readonly value: string
}

const sums: readonly (readonly [string, SourceDigest['algorithm'], number])[] = [
  ['b2sums', 'blake2b512', 128],
  ['sha512sums', 'sha512', 128],
  ['sha384sums', 'sha384', 96],
  ['sha256sums', 'sha256', 64],
]

/** PKGBUILD(5), "pkgname" and what makepkg's own checks allow. */
const namePattern = /^[A-Za-z0-9@_+][A-Za-z0-9@._+-]*$/
const versionPattern = /^[^\s:/-]+$/

/**
 * Reads the lines for a tree of `architecture` (`x86_64`).
 *
 * @throws NspawnError `SOURCE_INVALID`
 */
export function parseSourceInfo(lines: readonly string[], architecture: string): SourceInfo {
  const base = new Map<string, string[]>()
  const packages: string[] = []
  const provides: string[] = []
  for (const line of lines) {
    const [, key, value] = /^\s*(\w+) = (.*)$/.exec(line) ?? []
    if (key === undefined || value === undefined) continue
    if (key === 'provides' || key === `provides_${architecture}`) provides.push(value)
    if (key === 'pkgname') packages.push(value)
    // What comes after the first name is about packages, not about their making.
    else if (packages.length === 0) base.set(key, [...(base.get(key) ?? []), value])
  }
  const all = (key: string) => base.get(key) ?? []
  const both = (key: string) => [...all(key), ...all(`${key}_${architecture}`)]
  const [name = ''] = all('pkgbase')
  for (const one of [name, ...packages])
    if (!namePattern.test(one)) throw invalid(`not a package name: ${one}`)
  if (packages.length === 0) throw invalid('it makes no packages')
  const architectures = all('arch')
  if (!architectures.includes('any') && !architectures.includes(architecture)) {
    throw invalid(
      `the tree is for ${architecture}, the package for ${architectures.join(', ')}`,
      'build in a tree of such an architecture',
    )
  }
  return {
    name,
    version: version(all),
    architectures,
    packages,
    provides,
    depends: {
      depends: both('depends'),
      makedepends: both('makedepends'),
      checkdepends: both('checkdepends'),
    },
    sources: ['', `_${architecture}`].flatMap((suffix) => sourcesOf(all, suffix)),
  }
}

/** What has to be installed for a build, each once, sorted. */
export function buildDependencies(
  { depends }: Pick<SourceInfo, 'depends'>,
  { check }: { readonly check: boolean },
): readonly string[] {
  const fields = dependencyFields.filter((field) => check || field !== 'checkdepends')
  return [...new Set(fields.flatMap((field) => depends[field]))].toSorted()
}

/** Whether makepkg will look for an OpenPGP signature, which it tells by the name. */
export function isSignature({ name }: Pick<PackageSource, 'name'>): boolean {
  return /\.(sig|sign|asc)$/.test(name)
}

function version(all: (key: string) => readonly string[]): string {
  const [[upstream = ''], [release = ''], [epoch = '0']] = [
    all('pkgver'),
    all('pkgrel'),
    all('epoch'),
  ]
  if (!versionPattern.test(upstream) || !versionPattern.test(release) || !/^\d+$/.test(epoch))
    throw invalid(`not a version: ${upstream}-${release}`)
  return `${Number(epoch) === 0 ? '' : `${epoch}:`}${upstream}-${release}`
}

function sourcesOf(
  all: (key: string) => readonly string[],
  suffix: string,
): readonly PackageSource[] {
  return all(`source${suffix}`).map((text, index) => {
    const [, given, location = ''] = /^(?:(.*?)::)?(.*)$/s.exec(text) ?? []
    const kind = kindOf(location)
    const name = given ?? location.slice(location.lastIndexOf('/') + 1)
    const digest = kind === 'repository' ? undefined : digestOf(all, suffix, index)
    return { text, name, kind, digest }
  })
}

/** As makepkg's `get_protocol` tells them apart. */
function kindOf(location: string): PackageSource['kind'] {
  const protocol = /^([^/]*?):\/\//.exec(location)?.[1]
  if (protocol === undefined) return location.startsWith('lp:') ? 'repository' : 'local'
  return /^(bzr|fossil|git|hg|svn)(\+|$)/.test(protocol) ? 'repository' : 'file'
}

function digestOf(
  all: (key: string) => readonly string[],
  suffix: string,
  index: number,
): SourceDigest | undefined {
  for (const [key, algorithm, digits] of sums) {
    const value = all(`${key}${suffix}`)[index]?.toLowerCase()
    if (value !== undefined && value.length === digits && /^[0-9a-f]+$/.test(value))
      return { algorithm, value }
  }
  return undefined
}

function invalid(why: string, hint?: string): NspawnError {
  return new NspawnError(`cannot build from this PKGBUILD: ${why}`, {
    code: 'SOURCE_INVALID',
    operation: 'makepkg --printsrcinfo',
    subject: 'PKGBUILD',
    hint,
  })
}
