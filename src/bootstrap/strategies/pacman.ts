/** pacman itself, with its root option pointed at the tree: nothing of the host's configuration takes part. */
import type { PacmanArchive } from '../archives/pacman.ts'
import { diagnosePacman } from '../pacman/failures.ts'
import { installByPacman, type ReadyPacman } from '../pacman/install.ts'
import { pacmanKeyringObstacle } from '../pacman/keyring.ts'
import type { BootstrapHost } from '../host.ts'
import type { Obstacle, TreeDraft } from '../plan.ts'
import type { Strategy } from '../strategy.ts'

/** Where Debian's pacman-key has its functions: in a package that it does not depend on. */
const keyFunctions = '/usr/share/makepkg/util/message.sh'

export const pacmanToolPackages = [
  'pacman-package-manager',
  'makepkg',
  'archlinux-keyring',
  'gnupg',
]

export const pacmanToolFiles = ['/usr/share/keyrings/archlinux.gpg', keyFunctions]

export const pacman: Strategy<PacmanArchive> = {
  id: 'pacman',
  updates: 'included',
  abilities: ['offline'],
  programs: ['pacman'],
  toolPackages: pacmanToolPackages,
  toolFiles: pacmanToolFiles,

  obstacle: pacmanObstacle,

  async fill(plan, run) {
    const command = (ready: ReadyPacman) => pacmanCommand(ready, run.paths.tree)
    await installByPacman(plan, run, command, 'mounted')
  },

  diagnose: diagnosePacman,
}

/** @see pacman(8) */
export function pacmanCommand(
  { configuration, places, targets }: ReadyPacman,
  tree: string,
): [string, ...string[]] {
  return [
    'pacman',
    '--root',
    tree,
    '--config',
    configuration,
    ...places,
    '--needed',
    '-S',
    ...targets,
  ]
}

export function pacmanObstacle(
  draft: TreeDraft<PacmanArchive>,
  host: BootstrapHost,
): Obstacle | undefined {
  for (const program of ['pacman', 'pacman-key']) {
    if (host.findProgram(program) !== undefined) continue
    return {
      reason: `${program} is not installed`,
      hint: 'install the package pacman (pacman-package-manager on Debian)',
    }
  }
  if (draft.signatures === 'required' && !host.hasFile(keyFunctions)) {
    return {
      reason: 'pacman-key does not work without makepkg',
      hint: 'install the package makepkg',
    }
  }
  return pacmanKeyringObstacle(draft, host)
}
