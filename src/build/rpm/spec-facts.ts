/**
 * What a spec says once rpm has expanded it. The spec is a program, so everything here is its own word
 * about itself, and is checked before it goes anywhere.
 */
import { NspawnError } from '../../errors.ts'

export interface SpecFacts {
  readonly name: string
  /** `EPOCH:VERSION-RELEASE`. */
  readonly version: string
  readonly requirements: Requirements
  /** Sources and patches, as the spec has them: names or URLs. */
  readonly sources: readonly string[]
}

/** What has to be in the build root, and what must not; each sorted, in rpm's notation. */
export interface Requirements {
  readonly requires: readonly string[]
  readonly conflicts: readonly string[]
}

/** A query format that `parseRequirements()` reads. */
export const requirementsFormat =
  '[requires %{REQUIRENEVRS}\\n][conflicts %{CONFLICTNEVRS}\\n]' as const

/** A query format for the source package of a spec. */
export const factsFormat = `name %{NAME}\\nversion %{EVR}\\n${requirementsFormat}` as const

/** A line between the answer to the query and the expanded spec. */
export const specMark = '--- the spec'

/**
 * Reads what `rpmspec -q --srpm` with `factsFormat`, the mark, and `rpmspec -P` have printed.
 *
 * @throws NspawnError `SOURCE_INVALID`
 */
export function parseSpecFacts(lines: readonly string[]): SpecFacts {
  const mark = lines.indexOf(specMark)
  const [answer, spec] = [lines.slice(0, mark), lines.slice(mark + 1)]
  const value = (field: string) =>
    answer.find((line) => line.startsWith(`${field} `))?.slice(field.length + 1)
  const [name, version] = [value('name'), value('version')]
  if (mark < 0 || name === undefined || version === undefined || !/^[\w.+~^:-]+$/.test(version))
    throw invalid('rpm cannot tell its name and version')
  if (!/^[A-Za-z0-9][\w.+-]*$/.test(name)) throw invalid('its name cannot be one of a package')
  return {
    name,
    version,
    requirements: parseRequirements(answer),
    sources: specSources(spec),
  }
}

/**
 * Reads lines of `requirementsFormat`. What rpm itself must be able to do is left out.
 *
 * @throws NspawnError `SOURCE_INVALID`
 */
export function parseRequirements(lines: readonly string[]): Requirements {
  const values = (field: string) =>
    [
      ...new Set(
        lines
          .filter((line) => line.startsWith(`${field} `))
          .map((line) => line.slice(field.length + 1).trim())
          .filter((one) => !one.startsWith('rpmlib(')),
      ),
    ].toSorted()
  const requirements = { requires: values('requires'), conflicts: values('conflicts') }
  for (const one of [...requirements.requires, ...requirements.conflicts])
    if (!/^[\x21-\x7e]( ?[\x21-\x7e])*$/.test(one))
      throw invalid(`not a dependency: ${JSON.stringify(one)}`)
  return requirements
}

/**
 * Whether a source package has `%generate_buildrequires`; rpmspec leaves that line out now and then.
 *
 * @param lines what it requires, one a line
 */
export function isDynamic(lines: readonly string[]): boolean {
  return lines.some((line) => line.startsWith('rpmlib(DynamicBuildRequires)'))
}

/** Both together. */
export function joinRequirements(one: Requirements, other: Requirements): Requirements {
  const join = (a: readonly string[], b: readonly string[]) => [...new Set([...a, ...b])].toSorted()
  return {
    requires: join(one.requires, other.requires),
    conflicts: join(one.conflicts, other.conflicts),
  }
}

export function isNothing({ requires, conflicts }: Requirements): boolean {
  return requires.length === 0 && conflicts.length === 0
}

export function sameRequirements(one: Requirements, other: Requirements): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** Sections that have tags; the others are text and scripts. */
const tagged = /^%package\b/
const section =
  /^%(description|prep|generate_buildrequires|conf|build|install|check|clean|files|changelog|pre|post|preun|postun|pretrans|posttrans|preuntrans|postuntrans|trigger\w*|filetrigger\w*|transfiletrigger\w*|verifyscript|sepolicy)\b/

/** The values of `Source…:` and `Patch…:`, and the lines of `%sourcelist` and `%patchlist`. */
function specSources(lines: readonly string[]): readonly string[] {
  const found: string[] = []
  let part: 'tags' | 'list' | 'other' = 'tags'
  for (const line of lines) {
    if (/^%(sourcelist|patchlist)\b/.test(line)) part = 'list'
    else if (tagged.test(line)) part = 'tags'
    else if (section.test(line)) part = 'other'
    else if (part === 'list' && line.trim() !== '' && !line.startsWith('#')) found.push(line.trim())
    else if (part === 'tags') {
      const value = /^\s*(?:source|patch)\d*\s*:\s*(\S+)/i.exec(line)?.[1]
      if (value !== undefined) found.push(value)
    }
  }
  return [...new Set(found)]
}

function invalid(why: string): NspawnError {
  return new NspawnError(`cannot use the spec: ${why}`, {
    code: 'SOURCE_INVALID',
    operation: 'read spec',
  })
}
