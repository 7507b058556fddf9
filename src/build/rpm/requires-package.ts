/**
 * The package that stands for the build dependencies: whoever installs it has them, by any package manager's
 * own solver, with rich dependencies and conflicts, and without a plugin in the build root.
 */
import { requiresPackageName } from './places.ts'
import type { Requirements } from './spec-facts.ts'

/** Its spec. A `%` of a dependency is none of a macro. */
export function requiresSpec({ requires, conflicts }: Requirements): string {
  const lines = (tag: string, values: readonly string[]) =>
    values.map((value) => `${tag}: ${value.replaceAll('%', '%%')}`)
  return [
    `Name: ${requiresPackageName}`,
    'Version: 1',
    'Release: 1',
    'Summary: build dependencies',
    'License: none',
    'BuildArch: noarch',
    'AutoReqProv: no',
    ...lines('Requires', requires),
    ...lines('Conflicts', conflicts),
    '%description',
    'Build dependencies.',
    '%files',
    '',
  ].join('\n')
}
