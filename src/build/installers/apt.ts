/** apt in build containers, as sbuild calls it. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { fetchText } from '../../transfer/download.ts'
import { parseUrl } from '../../transfer/url.ts'
import type { RootFile } from '../prepare-root.ts'
import { findInTree } from '../tree-path.ts'
import type { AptExtras } from './apt-extras.ts'
import { aptRepositoryFiles, describeDeb, sourceList } from './apt-repository.ts'
import { readAptSuites } from './apt-sources.ts'
import { aptOrigins, dpkgName } from './apt-origins.ts'
import { dpkgContents } from './dpkg-contents.ts'
import { installedDpkgPackages } from './dpkg-packages.ts'
import type { IndexIdentity, Installer, InstallerCommand } from './installer.ts'

/** invoke-rc.d(8): 101 is "action forbidden by policy", which keeps services from starting. */
const policy: RootFile = {
  path: 'usr/sbin/policy-rc.d',
  text: '#!/bin/sh\nexit 101\n',
  mode: 0o755,
}

const releaseLimitBytes = 32 * 1024 ** 2

const aptOptions = [
  ['-q', '-y', '--no-install-recommends'],
  ['-o', 'Acquire::Languages=none'],
  ['-o', 'Acquire::Retries=3'],
  // Else apt goes on with old indexes when a mirror cannot be reached, and succeeds.
  ['-o', 'APT::Update::Error-Mode=any'],
  ['-o', 'Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false'],
  ['-o', 'APT::Keep-Downloaded-Packages=false'],
  ['-o', 'Dpkg::Use-Pty=0'],
].flat()

/** Leaves the indexes of the archives as they are. */
const onlyReadyPackages = [
  ['-o', `Dir::Etc::sourcelist=/${sourceList}`],
  ['-o', 'Dir::Etc::sourceparts=-'],
  ['-o', 'APT::Get::List-Cleanup=0'],
].flat()

const environment = {
  DEBIAN_FRONTEND: 'noninteractive',
  DEBCONF_NONINTERACTIVE_SEEN: 'true',
  DEBIAN_PRIORITY: 'critical',
}

const mirrorHint = 'check the network and the package sources of the tree (etc/apt/sources.list*)'

/** Any call of apt-get; the words come after its options. */
export function aptCommand(
  words: readonly string[],
  rest: Pick<InstallerCommand, 'id' | 'title' | 'failure'> & { readonly hint?: string },
): InstallerCommand {
  return { hint: mirrorHint, ...rest, command: ['apt-get', ...aptOptions, ...words], environment }
}

export const apt: Installer = {
  id: 'apt',
  version: 1,
  isIn: (root) =>
    findInTree(root, 'usr/bin/apt-get') !== undefined &&
    findInTree(root, 'var/lib/dpkg/status') !== undefined,
  database: ['var/lib/dpkg/status'],
  configuration: [
    'var/lib/dpkg/arch',
    'etc/apt',
    ...['sources.list.d', 'apt.conf.d', 'preferences.d', 'trusted.gpg.d', 'keyrings'].map(
      (name) => `etc/apt/${name}`,
    ),
  ],
  rootFiles: [policy],

  currentIndexes: async (tree, signal) => {
    try {
      return await releaseDigests(await readAptSuites(tree), signal)
    } catch (error) {
      return unknownUnlessCanceled(error)
    }
  },

  layerIndexes: async (upper) => {
    const place = findInTree(upper, 'var/lib/apt/lists')
    if (place === undefined) return undefined
    const names = (await readdir(place)).filter((name) => name.endsWith('_InRelease'))
    const digests = names.map(async (name) => digest(await readFile(join(place, name), 'utf8')))
    return names.length === 0 ? undefined : (await Promise.all(digests)).toSorted()
  },

  refresh: () => [
    aptCommand(['update'], {
      id: 'update',
      title: 'read package indexes',
      failure: 'DEPENDENCY_INDEX',
    }),
    aptCommand(['dist-upgrade'], {
      id: 'upgrade',
      title: 'upgrade the build root',
      failure: 'DEPENDENCY_INSTALL',
    }),
  ],

  install: (packages) =>
    aptCommand(['install', ...packages], {
      id: 'install',
      title: `install ${packages.join(', ')}`,
      failure: 'DEPENDENCY_INSTALL',
    }),

  installed: installedDpkgPackages,
  contents: (_layers, ask) => dpkgContents(ask),

  repository: {
    isPackage: (name) => name.endsWith('.deb'),
    describe: describeDeb,
    files: aptRepositoryFiles,
    commands: (installed) => [
      aptCommand([...onlyReadyPackages, 'update'], {
        id: 'update-ready',
        title: 'read the index of ready packages',
        failure: 'DEPENDENCY_INDEX',
        hint: 'one of the packages has a control file that apt does not understand',
      }),
      ...(installed.length > 0
        ? [
            aptCommand(['--allow-downgrades', 'dist-upgrade'], {
              id: 'upgrade-ready',
              title: 'put ready packages in the place of others',
              failure: 'DEPENDENCY_INSTALL',
              hint: 'the packages do not fit into the build root; the lines above say why',
            }),
          ]
        : []),
    ],
  },

  locking: {
    extension: '.deb',
    origins: aptOrigins,
    apply: (paths, removed) => [
      aptCommand(
        [
          ...['-o', 'Dir::Etc::SourceList=/dev/null', '-o', 'Dir::Etc::SourceParts=/dev/null'],
          // Pins of the tree have no say in what has been decided.
          ...[
            '-o',
            'Dir::Etc::Preferences=/dev/null',
            '-o',
            'Dir::Etc::PreferencesParts=/dev/null',
          ],
          ...['--allow-downgrades', '--allow-change-held-packages', '--allow-remove-essential'],
          // Files of configuration are no part of the root that was locked.
          '--purge',
          'install',
          ...paths,
          ...removed.map(({ name, architecture }) => `${dpkgName(name, architecture)}-`),
        ],
        {
          id: 'install-locked',
          title: `install ${paths.length} locked packages`,
          failure: 'DEPENDENCY_INSTALL',
          hint: 'the lock may be of another tree: make another one with --lock',
        },
      ),
    ],
  },
}

/** apt for one build, with more package sources and pins than the tree has. */
export function aptWith({ files, suites }: AptExtras): Installer {
  return {
    ...apt,
    rootFiles: [...apt.rootFiles, ...files],
    currentIndexes: async (tree, signal) => {
      try {
        return await releaseDigests([...(await readAptSuites(tree)), ...suites], signal)
      } catch (error) {
        return unknownUnlessCanceled(error)
      }
    },
  }
}

/** Of the Release files of suites, each once, as apt keeps them. */
async function releaseDigests(
  suites: AptExtras['suites'],
  signal: AbortSignal | undefined,
): Promise<IndexIdentity | undefined> {
  const addresses = suites.map(({ uri, suite }) => {
    if (suite.endsWith('/')) throw new NspawnError('a flat repository', { code: 'NO_IDENTITY' })
    return `${uri.replace(/\/+$/, '')}/dists/${suite}/InRelease`
  })
  const digests = [...new Set(addresses)].map(async (address) => {
    const url = parseUrl(address)
    return digest(await fetchText({ url, maxBytes: releaseLimitBytes, retries: 1, signal }))
  })
  return digests.length === 0 ? undefined : (await Promise.all(digests)).toSorted()
}

function unknownUnlessCanceled(error: unknown): undefined {
  if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
