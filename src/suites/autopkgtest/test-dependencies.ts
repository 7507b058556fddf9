/** What a test wants to have installed, in words for apt: `@` and its sisters stand for fields of debian/control. Pure. */
import type { Paragraph } from '../../bootstrap/debian/deb822.ts'
import type { PackageTest } from './tests-control.ts'

/** What of `debian/control` the words stand for. */
export interface SourceWords {
  /** Binary packages, each with the architectures that it is for where these are not all. */
  readonly packages: readonly string[]
  /** Groups of the build dependencies, with the toolchain. */
  readonly buildDepends: readonly string[]
  /** Groups of all fields Recommends, without what only the build fills in. */
  readonly recommends: readonly string[]
}

/**
 * Architectures and profiles stay, for apt reads both.
 *
 * @param paragraphs of `debian/control`, the source's own first
 */
export function sourceWords([source, ...binaries]: readonly Paragraph[]): SourceWords {
  const debs = binaries.filter((one) =>
    ['Package-Type', 'XC-Package-Type'].every((field) => (one.folded(field) ?? 'deb') === 'deb'),
  )
  const fields = ['Build-Depends', 'Build-Depends-Indep', 'Build-Depends-Arch']
  return {
    packages: debs.flatMap((one) => packageWords(one)),
    buildDepends: [
      ...fields.flatMap((field) => groupsOf(source?.folded(field))),
      'build-essential:native',
    ],
    recommends: debs
      .flatMap((one) => groupsOf(one.folded('Recommends')))
      .filter((group) => !group.startsWith('${'))
      .map((group) => group.replaceAll(/\s*\([^()]*\$\{[^()]*\)/g, '')),
  }
}

function packageWords(paragraph: Paragraph): readonly string[] {
  const name = paragraph.folded('Package')
  if (name === undefined) return []
  const architecture = paragraph.folded('Architecture') ?? 'any'
  const listed = ['all', 'any'].includes(architecture) ? '' : ` [${architecture}]`
  const profiles = paragraph.folded('Build-Profiles') ?? ''
  // Who is only built for a profile is in no archive.
  return [`${name}${listed} ${profiles}`.trimEnd()]
}

/** The groups of alternatives that apt shall satisfy, sorted, each once. */
export function testDependencies(
  { depends, restrictions }: Pick<PackageTest, 'depends' | 'restrictions'>,
  source: SourceWords,
): readonly string[] {
  const groups = depends.flatMap((group) => {
    if (group === '@builddeps@') return source.buildDepends
    if (group === '@recommends@') return source.recommends
    if (!group.includes('@')) return [group]
    return source.packages.map((name) => group.replaceAll('@', name))
  })
  const implied = restrictions.includes('needs-sudo') ? ['sudo'] : []
  return [...new Set([...groups, ...implied])].toSorted()
}

function groupsOf(field: string | undefined): readonly string[] {
  return (field ?? '')
    .split(',')
    .map((group) => group.trim())
    .filter((group) => group !== '')
}
