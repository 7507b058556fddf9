/** zypper in build containers. */
import { readdirSync } from 'node:fs'
import { findInTree } from '../tree-path.ts'
import { repositoryName } from '../local-repository.ts'
import type { InstallerCommand } from './installer.ts'
import { cacheDirectory, rpmDownloads, type RpmInstaller } from './rpm-installer.ts'
import { rpmContents } from './rpm-contents.ts'
import { rpmLocking } from './rpm-origins.ts'
import { installedRpmPackages, rpmDatabase } from './rpm-packages.ts'
import { describeRpm, isRpmPackage, readyHint, rpmRepositoryFiles } from './rpm-repository.ts'
import { cachedRpmIndexes, currentRpmIndexes, type RepositoryPlaces } from './rpm-repositories.ts'

const repositories = 'etc/zypp/repos.d'

const places: RepositoryPlaces = {
  directories: [repositories],
  files: [],
  variables: ['etc/zypp/vars.d'],
}

const mirrorHint = 'check the network and the repositories of the tree (etc/zypp/repos.d)'

/** zypper(8), "EXIT CODES": something should be started again, which means nothing to a build root. */
const accept = [102, 103]

function call(
  words: readonly string[],
  rest: Pick<InstallerCommand, 'id' | 'title' | 'failure'> & { readonly hint?: string },
): InstallerCommand {
  const options = ['--non-interactive', '--cache-dir', `/${cacheDirectory}`]
  return { hint: mirrorHint, ...rest, command: ['zypper', ...options, ...words], accept }
}

/** The indexes of the toolchain's layer are those that the layer is named after. */
const asRead = '--no-refresh'

export const zypper: RpmInstaller = {
  id: 'zypper',
  version: 1,
  isIn: (root) =>
    findInTree(root, 'usr/bin/zypper') !== undefined &&
    repositoryFiles(findInTree(root, repositories)).length > 0,
  database: rpmDatabase,
  configuration: [
    ...['etc/zypp', 'etc/zypp/services.d', 'etc/products.d', 'etc/rpm'],
    ...places.directories,
    ...places.variables,
  ],
  rootFiles: [],
  currentIndexes: (tree, signal) => currentRpmIndexes(tree, places, signal),
  layerIndexes: (upper) => cachedRpmIndexes(upper, `${cacheDirectory}/raw`),
  refresh: () => [
    // There is no option for all at once.
    call(['modifyrepo', '--all', '--keep-packages'], {
      id: 'keep',
      title: 'keep fetched packages',
      failure: 'DEPENDENCY_INDEX',
    }),
    call(['refresh', '--force'], {
      id: 'update',
      title: 'read package indexes',
      failure: 'DEPENDENCY_INDEX',
    }),
    // The only way up where a release rolls; where it does not, it does what "update" does.
    call([asRead, 'dist-upgrade', '--no-recommends', '--auto-agree-with-licenses'], {
      id: 'upgrade',
      title: 'upgrade the build root',
      failure: 'DEPENDENCY_INSTALL',
    }),
  ],
  install: (packages) =>
    call([asRead, 'install', '--no-recommends', '--auto-agree-with-licenses', '--', ...packages], {
      id: 'install',
      title: `install ${packages.join(', ')}`,
      failure: 'DEPENDENCY_INSTALL',
    }),
  installFiles: (paths, _wishes, rest) =>
    call(
      [
        asRead,
        'install',
        '--no-recommends',
        '--auto-agree-with-licenses',
        '--allow-unsigned-rpm',
        '--',
        ...paths,
      ],
      rest,
    ),
  installed: (_layers, ask) => installedRpmPackages(ask),
  contents: (_layers, ask) => rpmContents(ask),
  repository: {
    isPackage: isRpmPackage,
    describe: describeRpm,
    files: (packages) =>
      rpmRepositoryFiles(packages, `${repositories}/${repositoryName}.repo`, [
        ...['type=rpm-md', 'autorefresh=0', 'keeppackages=0'],
      ]),
    commands: (installed) => [
      call(['refresh', '--force', repositoryName], {
        id: 'update-ready',
        title: 'read the index of ready packages',
        failure: 'DEPENDENCY_INDEX',
        hint: readyHint,
      }),
      ...(installed.length === 0
        ? []
        : [
            call(
              [
                ...[asRead, 'install', '--no-recommends', '--auto-agree-with-licenses'],
                ...['--force', '--oldpackage', '--from', repositoryName, '--', ...installed],
              ],
              {
                id: 'upgrade-ready',
                title: 'put ready packages in the place of others',
                failure: 'DEPENDENCY_INSTALL',
                hint: readyHint,
              },
            ),
          ]),
    ],
  },
  locking: rpmLocking(places, `${cacheDirectory}/raw`),
  downloads: rpmDownloads(places),
}

function repositoryFiles(directory: string | undefined): readonly string[] {
  const names = directory === undefined ? [] : readdirSync(directory)
  return names.filter((name) => name.endsWith('.repo'))
}
