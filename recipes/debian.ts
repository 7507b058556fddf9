/** Debian: the stable releases that are still supported, testing and unstable. */
import { defineRecipe } from '../src/recipe.ts'

export default defineRecipe({
  family: 'apt',
  id: 'debian',
  title: 'Debian',
  // https://www.debian.org/releases/
  releases: [
    // Both carry testing's codename in os-release, and no VERSION_ID.
    { name: 'sid', osCodename: 'forky', aliases: ['unstable'] },
    { name: 'forky', aliases: ['testing'] },
    {
      name: 'trixie',
      version: '13',
      aliases: ['stable'],
      extraSuites: [
        { suite: 'trixie-updates', mirror: 'main' },
        { suite: 'trixie-security', mirror: 'security' },
      ],
    },
    {
      name: 'bookworm',
      version: '12',
      aliases: ['oldstable'],
      sourcesFormat: 'one-line',
      extraSuites: [
        { suite: 'bookworm-updates', mirror: 'main' },
        { suite: 'bookworm-security', mirror: 'security' },
      ],
    },
  ],
  defaultRelease: 'trixie',
  // https://wiki.debian.org/SupportedArchitectures
  architectures: {
    'x86-64': 'amd64',
    x86: 'i386',
    arm64: 'arm64',
    arm: 'armhf',
    'ppc64-le': 'ppc64el',
    s390x: 's390x',
    riscv64: 'riscv64',
  },
  mirrors: {
    main: 'http://ftp.debian.org/debian',
    security: 'http://security.debian.org/debian-security',
  },
  components: ['main'],
  keyring: {
    path: '/usr/share/keyrings/debian-archive-keyring.gpg',
    hostPackage: 'debian-archive-keyring',
  },
  packageSets: {
    minimal: { variant: 'minbase', include: [] },
    build: { variant: 'buildd', include: ['fakeroot'] },
    boot: {
      variant: 'minbase',
      // Without libpam-systemd no login session starts; systemd-resolved is a package of its own since 12.
      include: [
        'systemd-sysv',
        'dbus',
        'libpam-systemd',
        'libnss-systemd',
        'libnss-myhostname',
        'systemd-resolved',
        'iproute2',
        'login',
        'passwd',
        'ca-certificates',
      ],
    },
  },
  strategies: ['embedded', 'mmdebstrap', 'debootstrap', 'tools:mmdebstrap', 'tools:debootstrap'],
  finishing: [
    'machine-id',
    'resolv-conf',
    'hostname',
    'hosts',
    'locale',
    'root-password',
    'apt-configuration',
    'apt-sources',
    'package-caches',
    'logs',
    'device-nodes',
  ],
  localePackage: 'locales',
  osRelease: { id: 'debian' },
  buildDriver: 'debian',
})
