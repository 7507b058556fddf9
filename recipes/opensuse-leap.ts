/** openSUSE Leap: the releases with a number. */
import { defineRecipe } from '../src/recipe.ts'

const site = 'https://download.opensuse.org'

/** Before release 16, whose one repository has the updates too. */
const fifteen = ['15.6']

const base = ['filesystem', 'bash', 'coreutils', 'rpm', 'zypper', 'ca-certificates']
const system = ['systemd', 'shadow', 'util-linux', 'iproute2']
const builder = 'patterns-devel-base-devel_rpm_build'

export default defineRecipe({
  family: 'rpm',
  id: 'opensuse-leap',
  title: 'openSUSE Leap',
  // https://en.opensuse.org/Lifetime
  releases: [
    { name: '16.1', version: '16.1' },
    { name: '16.0', version: '16.0', aliases: ['16'] },
    {
      name: '15.6',
      version: '15.6',
      aliases: ['15'],
      packageSets: {
        minimal: { include: ['openSUSE-release', ...base] },
        build: { include: ['openSUSE-release', ...base, builder] },
        // There systemd-network has both networkd and resolved.
        boot: { include: ['openSUSE-release', ...base, ...system, 'systemd-network'] },
      },
    },
  ],
  defaultRelease: '16.0',
  architectures: {
    'x86-64': 'x86_64',
    arm64: 'aarch64',
    'ppc64-le': 'ppc64le',
    s390x: 's390x',
  },
  repositories: [
    {
      id: 'repo-oss',
      title: 'openSUSE Leap $releasever',
      source: { kind: 'baseurl', url: `${site}/distribution/leap/$releasever/repo/oss` },
      path: 'distribution/leap/$releasever/repo/oss',
      role: 'base',
    },
    ...(['oss', 'sle', 'backports'] as const).map((part) => ({
      id: `update-${part}`,
      title: `openSUSE Leap $releasever, updates (${part})`,
      source: {
        kind: 'baseurl',
        url: `${site}/update/leap/$releasever/${part}`,
      } as const,
      path: `update/leap/$releasever/${part}`,
      role: 'updates' as const,
      releases: fifteen,
    })),
  ],
  metadataSigned: true,
  // Packages of release 15 are SUSE's too, and its repositories are signed by whom the packages come from.
  keys: [
    { file: 'opensuse/RPM-GPG-KEY-openSUSE-2022', user: 'opensuse@opensuse.org' },
    { file: 'opensuse/RPM-GPG-KEY-openSUSE-16-Backports' },
    { file: 'opensuse/RPM-GPG-KEY-openSUSE-Backports-2023' },
    { file: 'suse/RPM-GPG-KEY-SuSE-ALP-Main' },
    { file: 'suse/RPM-GPG-KEY-SuSE-SLE-Main-2023' },
    { file: 'suse/RPM-GPG-KEY-SuSE-SLE-15' },
  ],
  database: { path: '/usr/lib/sysimage/rpm', format: 'ndb' },
  packageSets: {
    minimal: { include: ['Leap-release', ...base] },
    build: { include: ['Leap-release', ...base, builder] },
    boot: {
      include: ['Leap-release', ...base, ...system, 'systemd-networkd', 'systemd-resolved'],
    },
  },
  strategies: ['zypper', 'tools:zypper'],
  finishing: [
    'machine-id',
    'resolv-conf',
    'hostname',
    'hosts',
    'locale',
    'root-password',
    'rpm-database',
    'zypper-repositories',
    'package-caches',
    'logs',
    'device-nodes',
  ],
  localePackage: 'glibc-locale',
  osRelease: { id: 'opensuse-leap' },
})
