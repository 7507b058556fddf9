/** openSUSE Tumbleweed: the rolling one, and what it was on former days. */
import { defineRecipe } from '../src/recipe.ts'

const site = 'https://download.opensuse.org'

/** https://en.opensuse.org/Portal:Tumbleweed, "Ports": all but x86-64 lie apart, under names of their own. */
const ports = {
  arm64: 'aarch64',
  arm: 'armv7hl',
  'ppc64-le': 'ppc',
  s390x: 'zsystems',
  riscv64: 'riscv',
  x86: 'i586',
} as const

const base = [
  'openSUSE-release',
  'filesystem',
  'bash',
  'coreutils',
  'rpm',
  'zypper',
  'ca-certificates',
]

export default defineRecipe({
  family: 'rpm',
  id: 'opensuse-tumbleweed',
  title: 'openSUSE Tumbleweed',
  releases: [{ name: 'tumbleweed', aliases: ['rolling'] }],
  defaultRelease: 'tumbleweed',
  architectures: {
    'x86-64': 'x86_64',
    x86: 'i586',
    arm64: 'aarch64',
    arm: 'armv7hl',
    'ppc64-le': 'ppc64le',
    s390x: 's390x',
    riscv64: 'riscv64',
  },
  repositories: [
    {
      id: 'repo-oss',
      title: 'openSUSE Tumbleweed',
      architectures: ['x86-64'],
      source: { kind: 'baseurl', url: `${site}/tumbleweed/repo/oss` },
      path: 'tumbleweed/repo/oss',
      // Kept for some weeks.
      snapshot: {
        url: `${site}/history/$releasever/tumbleweed/repo/oss`,
        path: 'history/$releasever/tumbleweed/repo/oss',
      },
      role: 'base',
    },
    ...Object.entries(ports).map(([architecture, name]) => ({
      id: 'repo-oss',
      title: 'openSUSE Tumbleweed',
      architectures: [architecture as keyof typeof ports],
      source: { kind: 'baseurl', url: `${site}/ports/${name}/tumbleweed/repo/oss` } as const,
      path: `ports/${name}/tumbleweed/repo/oss`,
      role: 'base' as const,
    })),
  ],
  metadataSigned: true,
  keys: [
    { file: 'opensuse/RPM-GPG-KEY-openSUSE-2022', user: 'opensuse@opensuse.org' },
    { file: 'opensuse/RPM-GPG-KEY-openSUSE-Tumbleweed' },
  ],
  database: { path: '/usr/lib/sysimage/rpm', format: 'ndb' },
  packageSets: {
    minimal: { include: base },
    build: { include: [...base, 'patterns-devel-base-devel_rpm_build'] },
    boot: {
      include: [
        ...base,
        'systemd',
        'systemd-networkd',
        'systemd-resolved',
        'shadow',
        'util-linux',
        'iproute2',
      ],
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
  osRelease: { id: 'opensuse-tumbleweed' },
})
