/** AlmaLinux: compatible with Enterprise Linux. */
import { defineRecipe } from '../src/recipe.ts'
import {
  architectures,
  database,
  databaseOf8,
  databaseOf9,
  finishing,
  packageSets,
} from './enterprise-linux.ts'

const mirrorlist = 'https://mirrors.almalinux.org/mirrorlist/$releasever'

export default defineRecipe({
  family: 'rpm',
  id: 'almalinux',
  title: 'AlmaLinux',
  // https://wiki.almalinux.org/release-notes/
  releases: [
    { name: '10', version: '10', versionMatch: 'major' },
    {
      name: '9',
      version: '9',
      versionMatch: 'major',
      database: databaseOf9,
    },
    {
      name: '8',
      version: '8',
      versionMatch: 'major',
      keys: [{ file: 'alma/RPM-GPG-KEY-AlmaLinux' }],
      database: databaseOf8,
    },
  ],
  defaultRelease: '10',
  architectures,
  repositories: [
    {
      id: 'baseos',
      title: 'AlmaLinux $releasever - BaseOS',
      source: { kind: 'mirrorlist', url: `${mirrorlist}/baseos` },
      path: '$releasever/BaseOS/$basearch/os',
      role: 'base',
    },
    {
      id: 'appstream',
      title: 'AlmaLinux $releasever - AppStream',
      source: { kind: 'mirrorlist', url: `${mirrorlist}/appstream` },
      path: '$releasever/AppStream/$basearch/os',
      role: 'base',
    },
    {
      id: 'crb',
      title: 'AlmaLinux $releasever - CRB',
      source: { kind: 'mirrorlist', url: `${mirrorlist}/crb` },
      path: '$releasever/CRB/$basearch/os',
      role: 'base',
      releases: ['10', '9'],
      sets: ['build'],
    },
    {
      id: 'powertools',
      title: 'AlmaLinux $releasever - PowerTools',
      source: { kind: 'mirrorlist', url: `${mirrorlist}/powertools` },
      path: '$releasever/PowerTools/$basearch/os',
      role: 'base',
      releases: ['8'],
      sets: ['build'],
    },
  ],
  metadataSigned: false,
  keys: [{ file: 'alma/RPM-GPG-KEY-AlmaLinux-$releasever' }],
  database,
  modulePlatform: 'platform:el',
  packageSets: packageSets('almalinux-release'),
  strategies: ['dnf5', 'dnf', 'tools:dnf'],
  finishing,
  localePackage: 'glibc-langpack-$language',
  osRelease: { id: 'almalinux' },
})
