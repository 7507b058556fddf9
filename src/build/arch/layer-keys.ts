/** What decides the contents of the layers of an Arch build: the toolchain below, and what is missing in it. */
import { layerKey } from '../layers.ts'

/** Grows whenever the driver fills layers in another way. */
const layerVersion = 1

/**
 * @param toolchain the key of the layer below; `undefined` when it is not kept
 * @param packages what is installed, in pacman's notation, in any order
 * @param repository the digest of ready packages
 */
export function dependencyKey(
  toolchain: string | undefined,
  packages: readonly string[],
  repository?: string,
): string | undefined {
  if (toolchain === undefined) return undefined
  return layerKey([
    'arch dependencies',
    layerVersion,
    toolchain,
    packages.toSorted(),
    ...(repository === undefined ? [] : [repository]),
  ])
}
