/**
 * What a build has apt install, written as the fields of a source package of its own: apt reads all fields of the real one,
 * and takes any alternative that it finds.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { firstAlternatives, type BuildCase } from './build-relations.ts'
import type { DebianBuildOptions } from './plan.ts'
import { buildRelations, type BuildRelation, type SourceControl } from './source-control.ts'

/** Where apt finds it in the container; only there while it installs. */
export const askedPackages = '/build/asked.dsc'

type Relations = SourceControl['buildDepends']

/** The fields that count in a scope (Debian Policy 7.7). */
export function countingRelations({
  any,
  all,
}: DebianBuildOptions['scope']): readonly BuildRelation[] {
  return buildRelations.filter(
    (field) => (any || !field.endsWith('-Arch')) && (all || !field.endsWith('-Indep')),
  )
}

/**
 * The relations of a source that count for a build: those of its scope, and of their alternatives the first one, unless any
 * will do.
 */
export function askedRelations(
  { buildDepends }: Pick<SourceControl, 'buildDepends'>,
  { scope, anyAlternative = false }: Pick<DebianBuildOptions, 'scope' | 'anyAlternative'>,
  buildCase: BuildCase,
): Relations {
  const asked: { -readonly [field in keyof Relations]: string } = {}
  for (const field of countingRelations(scope)) {
    const value = buildDepends[field]
    if (value === undefined) continue
    const whole = anyAlternative || field.startsWith('Build-Conflicts')
    asked[field] = whole ? value : firstAlternatives(value, buildCase)
  }
  return asked
}

/**
 * Makes `layer`, a directory to put below the one that apt installs into, with the relations for apt to read.
 *
 * @param layer absolute; not there yet
 */
export async function writeAskedPackages(
  layer: string,
  { name, version }: Pick<SourceControl, 'name' | 'version'>,
  relations: Relations,
): Promise<void> {
  const path = join(layer, askedPackages)
  for (const directory of [layer, dirname(path)]) {
    await mkdir(directory)
    // As everywhere in layers, the caller's umask has no say.
    await chmod(directory, 0o755)
  }
  const fields = {
    Format: '1.0',
    Source: name,
    Version: version,
    Architecture: 'any',
    ...relations,
  }
  const lines = Object.entries(fields).map(([field, value]) => `${field}: ${value}\n`)
  await writeFile(path, lines.join(''))
  await chmod(path, 0o644)
}
