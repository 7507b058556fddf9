/**
 * Build dependencies as source packages write them: Debian Policy 7.1 with lists of architectures in brackets, and
 * build profiles in angles (deb-src-control(5)).
 */

/** For what a build is. */
export interface BuildCase {
  /** Of the tree, as dpkg calls it: `amd64`. */
  readonly architecture: string
  readonly profiles: readonly string[]
}

/**
 * The groups of alternatives that count in a case, as names of packages. What has no form of a relation is left out:
 * apt will say so.
 */
export function buildNeeds(
  field: string | undefined,
  buildCase: BuildCase,
): readonly (readonly string[])[] {
  return (field ?? '')
    .split(',')
    .map((group) => counting(group, buildCase).map(({ name }) => name))
    .filter((names) => names.length > 0)
}

/**
 * The field with the first alternative of each group only, as Debian's build daemons read it: the first that counts in a case,
 * and after it those of the same package, which are one condition in several parts. Groups that nothing counts of stay.
 */
export function firstAlternatives(field: string, buildCase: BuildCase): string {
  return field
    .split(',')
    .map((group) => {
      const alternatives = counting(group, buildCase)
      const end = alternatives.findIndex(({ name }) => name !== alternatives[0]?.name)
      const first = end === -1 ? alternatives : alternatives.slice(0, end)
      return first.length === 0 ? group : first.map(({ text }) => text).join('|')
    })
    .join(',')
}

interface Alternative {
  readonly name: string
  readonly text: string
}

/** Those of a group that count, in order. */
function counting(group: string, buildCase: BuildCase): readonly Alternative[] {
  return group.split('|').flatMap((text) => {
    const [, name, rest = ''] = /^\s*([a-z0-9][a-z0-9.+-]*)(?::[a-z0-9-]+)?(.*)$/s.exec(text) ?? []
    return name !== undefined && counts(rest, buildCase) ? [{ name, text }] : []
  })
}

function counts(restrictions: string, { architecture, profiles }: BuildCase): boolean {
  const architectures = /\[([^\]]*)\]/.exec(restrictions)?.[1]?.trim()
  if (architectures !== undefined && !matchesArchitecture(architecture, architectures.split(/\s+/)))
    return false
  const formulas = [...restrictions.matchAll(/<([^<>=\d][^<>=]*)>/g)].map(([, words = '']) => words)
  return formulas.length === 0 || formulas.some((words) => holds(words.trim(), profiles))
}

/** Whether words of a list of architectures mean one: all of them are negated, or none. */
export function matchesArchitecture(architecture: string, listed: readonly string[]): boolean {
  const negated = listed.some((one) => one.startsWith('!'))
  return negated !== listed.some((one) => matches(architecture, one.replace(/^!/, '')))
}

/** dpkg-architecture(1), "Debian architecture wildcard", for the Linux ones that we run on. */
function matches(architecture: string, pattern: string): boolean {
  return [
    architecture,
    'any',
    'linux-any',
    `any-${architecture}`,
    `linux-${architecture}`,
  ].includes(pattern)
}

function holds(words: string, profiles: readonly string[]): boolean {
  return words.split(/\s+/).every((word) => {
    const negated = word.startsWith('!')
    return profiles.includes(negated ? word.slice(1) : word) !== negated
  })
}
