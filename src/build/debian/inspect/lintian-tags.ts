/** What lintian(1) is asked and what it answers. Pure. */

/** What can be made a failure, in lintian's own words (its option --fail-on). */
export const lintianSeverities = [
  'error',
  'warning',
  'info',
  'pedantic',
  'experimental',
  'override',
] as const
export type LintianSeverity = (typeof lintianSeverities)[number]

export interface LintianWishes {
  /** More of its options, a word each. */
  readonly options: readonly string[]
  /** What makes the build a failure; its results stay. */
  readonly failOn: readonly LintianSeverity[]
}

export interface LintianTag {
  readonly severity: LintianSeverity
  /** The whole line. */
  readonly text: string
}

const letters: Readonly<Record<string, LintianSeverity>> = {
  E: 'error',
  W: 'warning',
  I: 'info',
  P: 'pedantic',
  X: 'experimental',
  O: 'override',
}

/** What it does not show by itself. */
const showing: Readonly<Partial<Record<LintianSeverity, string>>> = {
  info: '--display-info',
  pedantic: '--pedantic',
  experimental: '--display-experimental',
  override: '--show-overrides',
}

/** @param changes absolute, in the container */
export function lintianCommand(
  { options, failOn }: LintianWishes,
  changes: string,
): readonly string[] {
  const shown = lintianSeverities.flatMap((severity) => {
    const option = showing[severity]
    return option !== undefined && failOn.includes(severity) ? [option] : []
  })
  // Which findings are a failure is decided here: its own status is for its own failures then.
  const own = ['--color', 'never', '--fail-on', 'none']
  return ['lintian', ...own, ...shown, ...options, changes]
}

/** Its findings among the lines that it has printed. */
export function readLintianTags(lines: readonly string[]): readonly LintianTag[] {
  return lines.flatMap((text) => {
    const severity = letters[/^([EWIPXO]): \S/.exec(text)?.[1] ?? '']
    return severity === undefined ? [] : [{ severity, text }]
  })
}

/** How many of each there are, in words: "2 errors, 1 warning". */
export function countTags(tags: readonly LintianTag[]): string {
  const counts = lintianSeverities.flatMap((severity) => {
    const count = tags.filter((tag) => tag.severity === severity).length
    return count === 0 ? [] : [`${count} ${nouns[severity][count === 1 ? 0 : 1]}`]
  })
  return counts.length === 0 ? 'nothing to say' : counts.join(', ')
}

const nouns: Readonly<Record<LintianSeverity, readonly [string, string]>> = {
  error: ['error', 'errors'],
  warning: ['warning', 'warnings'],
  info: ['remark', 'remarks'],
  pedantic: ['pedantic remark', 'pedantic remarks'],
  experimental: ['experimental finding', 'experimental findings'],
  override: ['overridden finding', 'overridden findings'],
}
