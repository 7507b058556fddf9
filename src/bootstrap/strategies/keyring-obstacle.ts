/** Both Debian tools would go on without a keyring in some way or other; we do not let them. */
import type { BootstrapHost } from '../host.ts'
import type { Obstacle, TreeDraft } from '../plan.ts'

export function keyringObstacle(draft: TreeDraft, host: BootstrapHost): Obstacle | undefined {
  if (draft.signatures === 'ignored' || host.hasFile(draft.keyring)) return undefined
  return {
    reason: `there is no keyring ${draft.keyring} to check the archive with`,
    hint: 'install the package debian-archive-keyring, or name a keyring with --keyring',
  }
}
