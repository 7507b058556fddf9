/** dnf, 4 and 5, in build containers, as mock calls it. */
import { findInTree } from '../tree-path.ts'
import { repositoryName } from '../local-repository.ts'
import type { InstallerCommand } from './installer.ts'
import { cacheDirectory, rpmDownloads, type RpmInstaller } from './rpm-installer.ts'
import { rpmContents } from './rpm-contents.ts'
import { rpmLocking } from './rpm-origins.ts'
import { installedRpmPackages, rpmDatabase } from './rpm-packages.ts'
import { describeRpm, isRpmPackage, readyHint, rpmRepositoryFiles } from './rpm-repository.ts'
import { cachedRpmIndexes, currentRpmIndexes, type RepositoryPlaces } from './rpm-repositories.ts'

const places: RepositoryPlaces = {
  directories: ['etc/yum.repos.d', 'etc/distro.repos.d', 'usr/share/dnf5/repos.d'],
  files: ['etc/dnf/dnf.conf'],
  variables: ['usr/share/dnf5/vars.d', 'etc/yum/vars', 'etc/dnf/vars'],
}

const configuration = [
  ...['etc/dnf', 'etc/dnf/modules.d', 'etc/dnf/repos.override.d', 'etc/dnf/libdnf5.conf.d'],
  ...['usr/share/dnf5/libdnf.conf.d', 'etc/yum.conf', 'etc/pki/rpm-gpg', 'etc/rpm'],
  ...places.directories,
  ...places.variables,
]

const mirrorHint = 'check the network and the repositories of the tree (etc/yum.repos.d)'

/** Options of both that come after the subcommand, which dnf 5 wants. */
const common = [
  '-y',
  '--setopt=install_weak_deps=False',
  '--setopt=keepcache=True',
  // Else dnf goes on without a repository that cannot be reached, and succeeds.
  '--setopt=*.skip_if_unavailable=False',
]

/** An installer for one of the programs; where there are both, dnf is but another name of dnf5. */
function installerFor(program: 'dnf' | 'dnf5'): RpmInstaller {
  const cache = program === 'dnf' ? 'cachedir' : 'system_cachedir'
  const call = (
    subcommand: string,
    words: readonly string[],
    rest: Pick<InstallerCommand, 'id' | 'title' | 'failure'> & { readonly hint?: string },
  ): InstallerCommand => ({
    hint: mirrorHint,
    ...rest,
    command: [program, subcommand, ...common, `--setopt=${cache}=/${cacheDirectory}`, ...words],
  })
  // The indexes of the toolchain's layer are those that the layer is named after.
  const asRead = '--setopt=*.metadata_expire=-1'
  return {
    id: program,
    version: 1,
    isIn: (root) => findInTree(root, `usr/bin/${program}`) !== undefined,
    database: rpmDatabase,
    configuration,
    rootFiles: [],
    currentIndexes: (tree, signal) => currentRpmIndexes(tree, places, signal),
    layerIndexes: (upper) => cachedRpmIndexes(upper, cacheDirectory),
    refresh: () => [
      call('makecache', ['--refresh'], {
        id: 'update',
        title: 'read package indexes',
        failure: 'DEPENDENCY_INDEX',
      }),
      call('upgrade', [asRead], {
        id: 'upgrade',
        title: 'upgrade the build root',
        failure: 'DEPENDENCY_INSTALL',
      }),
    ],
    install: (packages) =>
      // A tree may have the small variant of a package, as coreutils-single.
      call('install', [asRead, '--allowerasing', ...packages], {
        id: 'install',
        title: `install ${packages.join(', ')}`,
        failure: 'DEPENDENCY_INSTALL',
      }),
    installFiles: (paths, { fileLists }, rest) =>
      call(
        'install',
        [
          asRead,
          '--allowerasing',
          '--setopt=localpkg_gpgcheck=False',
          ...(fileLists && program === 'dnf5'
            ? ['--setopt=optional_metadata_types=filelists']
            : []),
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
        rpmRepositoryFiles(packages, `etc/yum.repos.d/${repositoryName}.repo`, [
          // Else packages of modules would hide ours.
          'module_hotfixes=1',
        ]),
      commands: (installed) =>
        installed.length === 0
          ? []
          : [
              call('distro-sync', [asRead, '--allowerasing', ...installed], {
                id: 'upgrade-ready',
                title: 'put ready packages in the place of others',
                failure: 'DEPENDENCY_INSTALL',
                hint: readyHint,
              }),
            ],
    },
    locking: rpmLocking(places, cacheDirectory),
    downloads: rpmDownloads(places),
  }
}

export const dnf = installerFor('dnf')
export const dnf5 = installerFor('dnf5')
