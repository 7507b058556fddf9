/** What decides the contents of an rpm build's dependency layer: the toolchain below, and what is required. */
import { layerKey } from '../layers.ts'
import type { Requirements } from './spec-facts.ts'

/** Grows whenever the driver fills layers in another way. */
const layerVersion = 1

/**
 * Macros and conditions of the build count through what they make the spec require.
 *
 * @param toolchain the key of the layer below
 * @param repository the digest of ready packages
 */
export function dependencyKey(
  toolchain: string,
  { requires, conflicts }: Requirements,
  repository?: string,
): string {
  return layerKey([
    'rpm dependencies',
    layerVersion,
    toolchain,
    requires,
    conflicts,
    ...(repository === undefined ? [] : [repository]),
  ])
}
