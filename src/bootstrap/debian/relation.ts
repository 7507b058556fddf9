/** Relations between packages as control files write them (deb-control(5), Debian Policy §7.1). */
import { NspawnError } from '../../errors.ts'
import { compareVersions } from './version.ts'

export type VersionOperator = '<<' | '<=' | '=' | '>=' | '>>'

/** One package that is named. */
export interface Target {
  readonly name: string
  /** `any`, or one architecture. */
  readonly qualifier: string | undefined
  readonly operator: VersionOperator | undefined
  readonly version: string | undefined
}

/** `a | b`: one of them is enough. */
export type Alternatives = readonly [Target, ...Target[]]

const targetPattern =
  /^([A-Za-z0-9][A-Za-z0-9+.-]*)(?::([a-z0-9-]+))?\s*(?:\(\s*(<<|<=|<|>>|>=|>|=)\s*([^\s)]+)\s*\))?$/

/** Written so until 1998, and never meant strictly. */
const old: Readonly<Record<string, VersionOperator>> = { '<': '<=', '>': '>=' }

/**
 * Reads a field of relations (`Depends`, `Provides`, `Breaks`).
 *
 * @param subject the package whose field it is
 * @throws NspawnError `BAD_CONTROL`
 */
export function parseRelations(
  field: string | undefined,
  subject: string,
): readonly Alternatives[] {
  if (field === undefined) return []
  const groups: Alternatives[] = []
  for (const group of field.split(',')) {
    const text = group.trim()
    // Some end with a comma.
    if (text === '') continue
    const [first, ...others] = text.split('|').map((one) => parseTarget(one.trim(), subject))
    groups.push([first!, ...others])
  }
  return groups
}

function parseTarget(text: string, subject: string): Target {
  const match = targetPattern.exec(text)
  if (match === null) {
    throw new NspawnError(`not a relation to a package: ${text.slice(0, 80)}`, {
      code: 'BAD_CONTROL',
      operation: 'read relations',
      subject,
    })
  }
  const [, name, qualifier, operator, version] = match
  return {
    name: name!,
    qualifier,
    operator: operator === undefined ? undefined : (old[operator] ?? (operator as VersionOperator)),
    version,
  }
}

/** Whether `version` is one that the target accepts. */
export function acceptsVersion({ operator, version: wanted }: Target, version: string): boolean {
  if (operator === undefined || wanted === undefined) return true
  const order = compareVersions(version, wanted)
  switch (operator) {
    case '<<':
      return order < 0
    case '<=':
      return order <= 0
    case '=':
      return order === 0
    case '>=':
      return order >= 0
    case '>>':
      return order > 0
  }
}

/** As control files write it. */
export function showTarget({ name, operator, version }: Target): string {
  return operator === undefined ? name : `${name} (${operator} ${version})`
}

export function showAlternatives(alternatives: Alternatives): string {
  return alternatives.map(showTarget).join(' | ')
}
