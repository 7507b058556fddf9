/** What decides the contents of a Debian build's dependency layer: the toolchain below, and what the source asks for. */
import { layerKey } from '../layers.ts'
import type { DebianBuildOptions } from './plan.ts'
import type { SourceControl } from './source-control.ts'

/** Grows whenever the driver fills layers in another way. */
const layerVersion = 1

/**
 * @param toolchain the key of the layer below
 * @param repository the digest of ready packages
 */
export function dependencyKey(
  toolchain: string,
  { buildDepends }: SourceControl,
  options: DebianBuildOptions,
  repository?: string,
): string {
  const { scope, profiles } = options
  const only = scope.any === scope.all ? 'all' : scope.any ? 'arch' : 'indep'
  const wanted = Object.entries(buildDepends)
    .map(([field, value]) => `${field}: ${relations(value).join(', ')}`)
    .toSorted()
  return layerKey([
    'debian dependencies',
    layerVersion,
    toolchain,
    wanted,
    only,
    profiles.toSorted(),
    ...(repository === undefined ? [] : [repository]),
  ])
}

/** Order and blanks do not matter to apt. */
function relations(value: string): string[] {
  return value
    .split(',')
    .map((one) => one.trim().replaceAll(/\s+/g, ' '))
    .filter((one) => one !== '')
    .toSorted()
}
