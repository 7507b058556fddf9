/**
 * pacstrap, Arch's own script around pacman. It mounts the devices of the host into the tree while it works, so that
 * scripts of packages see them; that is why pacman itself comes first.
 */
import type { PacmanArchive } from '../archives/pacman.ts'
import { diagnosePacman } from '../pacman/failures.ts'
import { installByPacman, type ReadyPacman } from '../pacman/install.ts'
import type { Strategy } from '../strategy.ts'
import { pacmanObstacle, pacmanToolFiles, pacmanToolPackages } from './pacman.ts'

export const pacstrap: Strategy<PacmanArchive> = {
  id: 'pacstrap',
  updates: 'included',
  abilities: ['offline'],
  // pacstrap does not tell its version.
  programs: ['pacman'],
  toolPackages: ['arch-install-scripts', ...pacmanToolPackages],
  toolFiles: pacmanToolFiles,

  obstacle(draft, host) {
    if (host.findProgram('pacstrap') !== undefined) return pacmanObstacle(draft, host)
    return {
      reason: 'pacstrap is not installed',
      hint: 'install the package arch-install-scripts',
    }
  },

  async fill(plan, run) {
    const command = (ready: ReadyPacman) => pacstrapCommand(ready, run.paths.tree)
    await installByPacman(plan, run, command, 'none')
  },

  diagnose: diagnosePacman,
}

/**
 * With the cache and the configuration that we name, and without the host's keyring and list of mirrors: the tree gets
 * its own.
 *
 * @see pacstrap(8)
 */
export function pacstrapCommand(
  { configuration, places, targets }: ReadyPacman,
  tree: string,
): [string, ...string[]] {
  return [
    'pacstrap',
    '-c',
    '-G',
    '-M',
    '-C',
    configuration,
    tree,
    ...targets,
    ...places,
    '--needed',
  ]
}
