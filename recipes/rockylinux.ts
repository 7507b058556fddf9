/** Rocky Linux: compatible with Enterprise Linux. */
import { defineRecipe } from '../src/recipe.ts'
import {
  architectures,
  database,
  databaseOf8,
  databaseOf9,
  finishing,
  packageSets,
} from './enterprise-linux.ts'

const mirrorlist = 'https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo='

export default defineRecipe({
  family: 'rpm',
  id: 'rockylinux',
  title: 'Rocky Linux',
  // https://wiki.rockylinux.org/rocky/version/
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
      keys: [{ file: 'rocky/RPM-GPG-KEY-rockyofficial' }],
      database: databaseOf8,
    },
  ],
  defaultRelease: '10',
  architectures,
  repositories: [
    {
      id: 'baseos',
      title: 'Rocky Linux $releasever - BaseOS',
      source: { kind: 'mirrorlist', url: `${mirrorlist}BaseOS-$releasever` },
      path: '$releasever/BaseOS/$basearch/os',
      role: 'base',
    },
    {
      id: 'appstream',
      title: 'Rocky Linux $releasever - AppStream',
      source: { kind: 'mirrorlist', url: `${mirrorlist}AppStream-$releasever` },
      path: '$releasever/AppStream/$basearch/os',
      role: 'base',
    },
    {
      id: 'crb',
      title: 'Rocky Linux $releasever - CRB',
      source: { kind: 'mirrorlist', url: `${mirrorlist}CRB-$releasever` },
      path: '$releasever/CRB/$basearch/os',
      role: 'base',
      releases: ['10', '9'],
      sets: ['build'],
    },
    {
      id: 'powertools',
      title: 'Rocky Linux $releasever - PowerTools',
      source: { kind: 'mirrorlist', url: `${mirrorlist}PowerTools-$releasever` },
      path: '$releasever/PowerTools/$basearch/os',
      role: 'base',
      releases: ['8'],
      sets: ['build'],
    },
  ],
  metadataSigned: false,
  keys: [{ file: 'rocky/RPM-GPG-KEY-Rocky-$releasever' }],
  database,
  modulePlatform: 'platform:el',
  packageSets: packageSets('rocky-release'),
  strategies: ['dnf5', 'dnf', 'tools:dnf'],
  finishing,
  localePackage: 'glibc-langpack-$language',
  osRelease: { id: 'rocky' },
})
