/** What the distributions that are compatible with Enterprise Linux have in common. */

// Release 10 asks for a processor of level x86-64-v3, release 9 for v2.
export const architectures = {
  'x86-64': 'x86_64',
  arm64: 'aarch64',
  'ppc64-le': 'ppc64le',
  s390x: 's390x',
} as const

/** Since release 10; before it was below /var. */
export const database = { path: '/usr/lib/sysimage/rpm', format: 'sqlite' } as const
export const databaseOf9 = { path: '/var/lib/rpm', format: 'sqlite' } as const
export const databaseOf8 = { path: '/var/lib/rpm', format: 'bdb' } as const

/** What Fedora's group buildsys-build has; there is no such group here. */
const buildPackages = [
  'bash',
  'bzip2',
  'coreutils',
  'cpio',
  'diffutils',
  'dnf',
  'dnf-plugins-core',
  'findutils',
  'gawk',
  'glibc-minimal-langpack',
  'grep',
  'gzip',
  'info',
  'make',
  'patch',
  'redhat-rpm-config',
  'rpm',
  'rpm-build',
  'sed',
  'shadow-utils',
  'tar',
  'unzip',
  'util-linux',
  'which',
  'xz',
]

const minimalPackages = [
  'bash',
  'coreutils-single',
  'dnf',
  'glibc-minimal-langpack',
  'rpm',
  'util-linux',
]

/** There is no systemd-networkd: NetworkManager sets up host0. */
const bootPackages = [
  'bash',
  'coreutils',
  'dnf',
  'glibc-minimal-langpack',
  'iproute',
  'NetworkManager',
  'rpm',
  'systemd',
  'util-linux',
  '/usr/bin/hostname',
  '/usr/bin/passwd',
]

/** @param release the package that says which distribution it is, and brings its repositories */
export function packageSets(release: string) {
  return {
    minimal: { include: [release, ...minimalPackages] },
    build: { include: [release, ...buildPackages] },
    boot: { include: [release, ...bootPackages] },
  }
}

export const finishing = [
  'machine-id',
  'resolv-conf',
  'hostname',
  'hosts',
  'locale',
  'root-password',
  'rpm-database',
  'package-caches',
  'logs',
  'device-nodes',
] as const
