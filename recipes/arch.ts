/** Arch Linux: rolling, and the days of its archive. */
import { defineRecipe } from '../src/recipe.ts'

export default defineRecipe({
  family: 'pacman',
  id: 'arch',
  title: 'Arch Linux',
  releases: [{ name: 'rolling' }],
  defaultRelease: 'rolling',
  architectures: { 'x86-64': 'x86_64' },
  // https://archlinux.org/mirrors/
  mirrors: { default: 'https://geo.mirror.pkgbuild.com' },
  layout: '$repo/os/$arch',
  // https://wiki.archlinux.org/title/Arch_Linux_Archive
  snapshotMirror: 'https://archive.archlinux.org/repos/$date',
  repositories: ['core', 'extra'],
  keyring: { name: 'archlinux', package: 'archlinux-keyring' },
  // https://archlinux.org/download/
  image: {
    url: 'https://geo.mirror.pkgbuild.com/iso/latest/archlinux-bootstrap-$arch.tar.zst',
    onMirror: 'iso/latest/archlinux-bootstrap-$arch.tar.zst',
  },
  packageSets: {
    minimal: { include: ['base'] },
    build: { include: ['base', 'base-devel'] },
    // It has systemd, networkd and resolved.
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
  osRelease: { id: 'arch', buildId: 'rolling' },
})
