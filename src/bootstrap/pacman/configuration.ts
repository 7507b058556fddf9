/** pacman.conf(5) for filling a tree from outside: private, for what a host's own says is no business of the tree. */
import { createHash } from 'node:crypto'
import type { PlannedPacmanRepository } from '../archives/pacman.ts'
import type { TreePlan } from '../plan.ts'

/**
 * The text of the file. Paths are left to the command line, where a blank in them does no harm. There is no
 * `CheckSpace`, which looks for mount points that a namespace need not show.
 *
 * @param repositories those of the archive, or local ones in their place
 * @param majorVersion of the pacman that will read it
 */
export function pacmanConfiguration(
  { signatures, packageArchitecture }: Pick<TreePlan, 'signatures' | 'packageArchitecture'>,
  repositories: readonly PlannedPacmanRepository[],
  majorVersion: number,
): string {
  return [
    '[options]',
    `Architecture = ${packageArchitecture}`,
    `SigLevel = ${signatures === 'required' ? 'Required DatabaseOptional' : 'Never'}`,
    'ParallelDownloads = 5',
    // Its own user and filter for downloads need what a container may not give.
    ...(majorVersion >= 7 ? ['DisableSandbox'] : []),
    ...repositories.flatMap(({ name, server, otherServers = [] }) => [
      ...['', `[${name}]`],
      ...[server, ...otherServers].map((url) => `Server = ${url}`),
    ]),
    '',
  ].join('\n')
}

/** What the index of a repository is called in the package cache: mirrors have different ones of the same name. */
export function cachedIndexName({ name, server }: PlannedPacmanRepository): string {
  const mark = createHash('sha256').update(server).digest('hex').slice(0, 12)
  return `${name}.${mark}.db`
}
