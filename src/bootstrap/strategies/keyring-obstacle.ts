/** Both Debian tools would go on without a keyring in some way or other; we do not let them. */
import type { AptArchive } from '../archives/apt.ts'
import type { BootstrapHost } from '../host.ts'
import type { Obstacle, TreeDraft } from '../plan.ts'

export function keyringObstacle(
  { signatures, archive }: TreeDraft<AptArchive>,
  host: BootstrapHost,
): Obstacle | undefined {
  if (signatures === 'ignored' || host.hasFile(archive.keyring)) return undefined
  return {
    reason: `there is no keyring ${archive.keyring} to check the archive with`,
    hint: 'install the package debian-archive-keyring, or name a keyring with --keyring',
  }
}
