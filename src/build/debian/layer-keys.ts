/** What decides the contents of a Debian build's dependency layer: the toolchain below, and what the source asks for. */
import { layerKey } from '../layers.ts'
import type { SourceControl } from './source-control.ts'

/** Grows whenever the driver fills layers in another way. */
const layerVersion = 2

/**
 * @param toolchain the key of the layer below
 * @param asked the relations that count
 * @param repository the digest of ready packages
 */
export function dependencyKey(
  toolchain: string,
  asked: SourceControl['buildDepends'],
  profiles: readonly string[],
  repository?: string,
): string {
  const wanted = Object.entries(asked)
    .map(([field, value]) => `${field}: ${relations(value).join(', ')}`)
    .toSorted()
  return layerKey([
    'debian dependencies',
    layerVersion,
    toolchain,
    wanted,
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
