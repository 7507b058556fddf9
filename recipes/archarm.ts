/** Arch Linux ARM: Arch's packages built for ARM by others, with mirrors and keys of their own. */
import { defineRecipe } from '../src/recipe.ts'

export default defineRecipe({
  family: 'pacman',
  id: 'archarm',
  title: 'Arch Linux ARM',
  releases: [{ name: 'rolling' }],
  defaultRelease: 'rolling',
  architectures: { arm64: 'aarch64', arm: 'armv7h' },
  // https://archlinuxarm.org/about/mirrors
  mirrors: { default: 'http://mirror.archlinuxarm.org' },
  layout: '$arch/$repo',
  repositories: ['core', 'extra', 'alarm'],
  keyring: { name: 'archlinuxarm', package: 'archlinuxarm-keyring' },
  // https://archlinuxarm.org/about/downloads
  image: { url: 'http://os.archlinuxarm.org/os/ArchLinuxARM-$arch-latest.tar.gz' },
  packageSets: {
    minimal: { include: ['base'] },
    build: { include: ['base', 'base-devel'] },
    boot: { include: ['base'] },
  },
  strategies: ['pacman', 'pacstrap', 'tools:pacman', 'image'],
  finishing: [
    'machine-id',
    'resolv-conf',
    'hostname',
    'hosts',
    'locale',
    'root-password',
    'pacman-configuration',
    'pacman-keyring',
    'package-caches',
    'logs',
    'device-nodes',
  ],
  osRelease: { id: 'archarm' },
})
