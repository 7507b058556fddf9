/** pacman in build containers. */
import { createHash } from 'node:crypto'
import { repositoryName } from '../local-repository.ts'
import type { RootFile } from '../prepare-root.ts'
import { findInTree } from '../tree-path.ts'
import type { Installer, InstallerCommand } from './installer.ts'
import { pacmanOrigins } from './pacman-origins.ts'
import { installedPacmanPackages, localDatabase, pacmanContents } from './pacman-packages.ts'
import {
  describePacmanPackage,
  isPacmanPackage,
  pacmanRepositoryFiles,
} from './pacman-repository.ts'
import { databasesOfLayer, databasesOfServers, readPacmanSetup } from './pacman-repositories.ts'

/**
 * The tree's own configuration, without the user and the filter that pacman 7 has for downloads: they want
 * what a container may not give. An older one warns of the line, and goes on.
 */
const ownOptions = ['DisableSandbox']
const configuration: RootFile = {
  path: 'etc/tsnspawn-build/pacman.conf',
  text: ['[options]', ...ownOptions, 'Include = /etc/pacman.conf', ''].join('\n'),
  mode: 0o644,
}

/** The same for files that a lock vouches for: their signatures lie elsewhere. */
const configurationOfFiles: RootFile = {
  path: 'etc/tsnspawn-build/pacman-files.conf',
  text: `Include = /${configuration.path}\n[options]\nLocalFileSigLevel = Never\n`,
  mode: 0o644,
}

const cacheDirectory = 'var/cache/pacman/pkg'

const mirrorHint =
  'check the network and the mirrors of the tree (etc/pacman.conf, etc/pacman.d/mirrorlist)'

/** Any call of pacman as root; the words come after its options. */
export function pacmanCommand(
  words: readonly string[],
  rest: Pick<InstallerCommand, 'id' | 'title' | 'failure'> & Partial<InstallerCommand>,
): InstallerCommand {
  const options = ['--config', `/${configuration.path}`, '--cachedir', `/${cacheDirectory}`]
  const plain = ['--noconfirm', '--noprogressbar', '--color=never']
  return { hint: mirrorHint, ...rest, command: ['pacman', ...options, ...plain, ...words] }
}

export const pacman: Installer = {
  id: 'pacman',
  version: 1,
  isIn: (root) =>
    findInTree(root, 'usr/bin/pacman') !== undefined &&
    findInTree(root, localDatabase) !== undefined,
  database: [localDatabase],
  configuration: [
    'etc/pacman.conf',
    ...['', '/hooks', '/gnupg'].map((name) => `etc/pacman.d${name}`),
  ],
  rootFiles: [configuration, configurationOfFiles],

  currentIndexes: async (tree, signal) =>
    databasesOfServers(tree, await readPacmanSetup(tree), signal),
  layerIndexes: databasesOfLayer,

  refresh: () => [
    // Also those that are not older than the tree's own: what a layer depends on must be seen in it.
    pacmanCommand(['-Syy'], {
      id: 'update',
      title: 'read package databases',
      failure: 'DEPENDENCY_INDEX',
    }),
    pacmanCommand(['-Su'], {
      id: 'upgrade',
      title: 'upgrade the build root',
      failure: 'DEPENDENCY_INSTALL',
    }),
  ],

  install: (packages) =>
    pacmanCommand(['-S', '--needed', '--asdeps', '--', ...packages], {
      id: 'install',
      title: `install ${packages.join(', ')}`,
      failure: 'DEPENDENCY_INSTALL',
      verdict: (_status, lines) =>
        lines.some((line) => /target not found|unable to satisfy|cannot resolve/.test(line))
          ? {
              code: 'DEPENDENCY_UNSATISFIABLE',
              hint: 'name a repository that has it in the etc/pacman.conf of the tree',
            }
          : undefined,
    }),

  installed: installedPacmanPackages,
  contents: (layers) => pacmanContents(layers),

  locking: {
    extension: '.pkg.tar',
    origins: pacmanOrigins,
    apply: (paths, removed) => {
      const rest = {
        failure: 'DEPENDENCY_INSTALL',
        hint: 'the lock may be of another tree: make another one with --lock',
      } as const
      const names = removed.map(({ name }) => name)
      const remove = pacmanCommand(['-Rddn', '--', ...names], {
        ...rest,
        id: 'remove-unlocked',
        title: `remove ${names.length} packages that are not locked`,
      })
      const files = ['--config', `/${configurationOfFiles.path}`, '--', ...paths]
      const install = pacmanCommand(['-U', '--asdeps', ...files], {
        ...rest,
        id: 'install-locked',
        title: `install ${paths.length} locked packages`,
      })
      return [...(names.length > 0 ? [remove] : []), ...(paths.length > 0 ? [install] : [])]
    },
  },

  repository: {
    isPackage: isPacmanPackage,
    describe: describePacmanPackage,
    files: (packages) => pacmanRepositoryFiles(packages, configuration, ownOptions),
    commands: (installed) =>
      installed.length === 0
        ? []
        : [
            pacmanCommand(['-S', '--', ...installed.map((name) => `${repositoryName}/${name}`)], {
              id: 'upgrade-ready',
              title: 'put ready packages in the place of others',
              failure: 'DEPENDENCY_INSTALL',
              hint: 'the packages do not fit into the build root; the lines above say why',
            }),
          ],
  },

  downloads: {
    directory: cacheDirectory,
    isPackage: (name) => /^[^/]+\.pkg\.tar(\.\w+)?(\.sig)?$/.test(name),
    // Distributions give the same names to different packages.
    pool: async (tree) => {
      const { repositories } = await readPacmanSetup(tree)
      const digest = createHash('sha256').update(JSON.stringify(repositories)).digest('hex')
      return `pacman/${digest.slice(0, 12)}`
    },
  },
}
