/** Ubuntu: the releases that get updates without a subscription. */
import { defineRecipe } from '../src/recipe.ts'

export default defineRecipe({
  family: 'apt',
  id: 'ubuntu',
  title: 'Ubuntu',
  // https://wiki.ubuntu.com/Releases
  releases: [
    {
      name: 'stonking',
      version: '26.10',
      extraSuites: [
        { suite: 'stonking-updates', mirror: 'main' },
        { suite: 'stonking-security', mirror: 'security' },
      ],
    },
    {
      name: 'resolute',
      version: '26.04',
      aliases: ['lts'],
      extraSuites: [
        { suite: 'resolute-updates', mirror: 'main' },
        { suite: 'resolute-security', mirror: 'security' },
      ],
    },
    {
      name: 'noble',
      version: '24.04',
      extraSuites: [
        { suite: 'noble-updates', mirror: 'main' },
        { suite: 'noble-security', mirror: 'security' },
      ],
    },
    {
      name: 'jammy',
      version: '22.04',
      sourcesFormat: 'one-line',
      extraSuites: [
        { suite: 'jammy-updates', mirror: 'main' },
        { suite: 'jammy-security', mirror: 'security' },
      ],
    },
  ],
  defaultRelease: 'resolute',
  // i386 has had no essential packages of its own since 20.04.
  architectures: {
    'x86-64': 'amd64',
    arm64: 'arm64',
    arm: 'armhf',
    'ppc64-le': 'ppc64el',
    s390x: 's390x',
    riscv64: 'riscv64',
  },
  mirrors: {
    main: 'http://archive.ubuntu.com/ubuntu',
    security: 'http://security.ubuntu.com/ubuntu',
  },
  portsMirrors: {
    architectures: ['arm64', 'arm', 'ppc64-le', 's390x', 'riscv64'],
    main: 'http://ports.ubuntu.com/ubuntu-ports',
    security: 'http://ports.ubuntu.com/ubuntu-ports',
  },
  components: ['main', 'universe'],
  keyring: {
    path: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
    hostPackage: 'ubuntu-keyring',
  },
  packageSets: {
    minimal: { variant: 'minbase', include: [] },
    build: { variant: 'buildd', include: ['fakeroot'] },
    boot: {
      variant: 'minbase',
      include: [
        'systemd-sysv',
        'dbus',
        'libpam-systemd',
        'libnss-systemd',
        'libnss-myhostname',
        // Brings systemd-resolved, which was not a package of its own in 22.04.
        'libnss-resolve',
        'iproute2',
        'login',
        'passwd',
        'ca-certificates',
      ],
    },
  },
  strategies: ['embedded', 'mmdebstrap', 'debootstrap'],
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
  osRelease: { id: 'ubuntu' },
  buildDriver: 'debian',
})
