/** Whether the keys are there: both Debian tools would go on without a keyring in some way or other; we do not let them. */
import type { AptArchive } from '../archives/apt.ts'
import type { BootstrapHost } from '../host.ts'
import type { Obstacle, TreeDraft } from '../plan.ts'

export function keyringObstacle(
  { signatures, archive }: TreeDraft<AptArchive>,
  host: BootstrapHost,
): Obstacle | undefined {
  if (signatures === 'ignored') return undefined
  const absent = repositoryKeyrings(archive).find((path) => !host.hasFile(path))
  if (absent !== undefined) return { reason: `there is no keyring ${absent}` }
  if (host.hasFile(archive.keyring)) return undefined
  const named = archive.keyringFrom === 'option'
  return {
    reason: `there is no keyring ${archive.keyring} to check the archive with`,
    hint: named
      ? 'check --keyring'
      : `install the package ${archive.keyringPackage}, or name a keyring with --keyring`,
  }
}

/** Keyrings of archives beside the main one. */
export function repositoryKeyrings({ repositories }: AptArchive): string[] {
  return repositories.flatMap(({ trust }) => (trust.kind === 'keyring' ? [trust.path] : []))
}
