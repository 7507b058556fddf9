/** Fedora: the releases that are kept up, and rawhide. */
import { defineRecipe } from '../src/recipe.ts'

const metalink = 'https://mirrors.fedoraproject.org/metalink?arch=$basearch&repo='

export default defineRecipe({
  family: 'rpm',
  id: 'fedora',
  title: 'Fedora',
  // https://fedorapeople.org/groups/schedule/: a release in April and October, kept up until the second one after it
  // is a month old.
  releases: [
    {
      name: 'rawhide',
      // It gets a new key with each branch.
      keys: ['44', '45', '46', '47'].map((number) => ({
        file: `fedora/RPM-GPG-KEY-fedora-${number}-primary`,
        user: `fedora-${number}-primary@fedoraproject.org`,
      })),
    },
    { name: '45', version: '45' },
    { name: '44', version: '44' },
    { name: '43', version: '43' },
  ],
  // The newest one whose key hosts of other distributions have, with systemd.
  defaultRelease: '43',
  // https://fedoraproject.org/wiki/Architectures
  architectures: {
    'x86-64': 'x86_64',
    arm64: 'aarch64',
    'ppc64-le': 'ppc64le',
    s390x: 's390x',
  },
  repositories: [
    {
      id: 'fedora',
      title: 'Fedora $releasever - $basearch',
      source: { kind: 'metalink', url: `${metalink}fedora-$releasever` },
      path: 'releases/$releasever/Everything/$basearch/os',
      role: 'base',
      releases: ['45', '44', '43'],
    },
    {
      id: 'updates',
      title: 'Fedora $releasever - $basearch - Updates',
      source: { kind: 'metalink', url: `${metalink}updates-released-f$releasever` },
      path: 'updates/$releasever/Everything/$basearch',
      role: 'updates',
      releases: ['45', '44', '43'],
    },
    {
      id: 'rawhide',
      title: 'Fedora Rawhide - $basearch',
      source: { kind: 'metalink', url: `${metalink}rawhide` },
      path: 'development/rawhide/Everything/$basearch/os',
      role: 'base',
      releases: ['rawhide'],
    },
  ],
  metadataSigned: false,
  keys: [
    {
      file: 'fedora/RPM-GPG-KEY-fedora-$releasever-primary',
      user: 'fedora-$releasever-primary@fedoraproject.org',
    },
  ],
  database: { path: '/usr/lib/sysimage/rpm', format: 'sqlite' },
  packageSets: {
    minimal: {
      include: [
        'fedora-release-container',
        'bash',
        'coreutils-single',
        'dnf5',
        'glibc-minimal-langpack',
        'rpm',
        'util-linux',
      ],
    },
    build: {
      include: ['@buildsys-build', 'fedora-release', 'dnf5', 'dnf5-plugins', 'rpm'],
    },
    boot: {
      include: [
        'fedora-release',
        'bash',
        'coreutils',
        'dnf5',
        'glibc-minimal-langpack',
        'iproute',
        'rpm',
        'systemd',
        'systemd-networkd',
        'systemd-resolved',
        'util-linux',
        '/usr/bin/hostname',
        '/usr/bin/passwd',
      ],
    },
  },
  strategies: ['dnf5', 'dnf', 'tools:dnf'],
  finishing: [
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
  ],
  localePackage: 'glibc-langpack-$language',
  osRelease: { id: 'fedora' },
})
