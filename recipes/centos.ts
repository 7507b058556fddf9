/** CentOS Stream: what will be the next minor release of Enterprise Linux. */
import { defineRecipe } from '../src/recipe.ts'
import { architectures, database, databaseOf9, finishing, packageSets } from './enterprise-linux.ts'

const metalink = 'https://mirrors.centos.org/metalink?arch=$basearch&repo='

export default defineRecipe({
  family: 'rpm',
  id: 'centos',
  title: 'CentOS Stream',
  // https://www.centos.org/cl-vs-cs/
  releases: [
    { name: '10', version: '10', aliases: ['10-stream'] },
    {
      name: '9',
      version: '9',
      aliases: ['9-stream'],
      keys: [
        { file: 'centos/RPM-GPG-KEY-CentOS-Official' },
        { file: 'centos/RPM-GPG-KEY-centosofficial' },
      ],
      database: databaseOf9,
    },
  ],
  defaultRelease: '10',
  architectures,
  repositories: [
    {
      id: 'baseos',
      title: 'CentOS Stream $releasever - BaseOS',
      source: { kind: 'metalink', url: `${metalink}centos-baseos-$releasever-stream` },
      path: '$releasever-stream/BaseOS/$basearch/os',
      role: 'base',
    },
    {
      id: 'appstream',
      title: 'CentOS Stream $releasever - AppStream',
      source: { kind: 'metalink', url: `${metalink}centos-appstream-$releasever-stream` },
      path: '$releasever-stream/AppStream/$basearch/os',
      role: 'base',
    },
    {
      id: 'crb',
      title: 'CentOS Stream $releasever - CRB',
      source: { kind: 'metalink', url: `${metalink}centos-crb-$releasever-stream` },
      path: '$releasever-stream/CRB/$basearch/os',
      role: 'base',
      sets: ['build'],
    },
  ],
  metadataSigned: false,
  keys: [
    { file: 'centos/RPM-GPG-KEY-CentOS-Official-SHA256' },
    { file: 'centos/RPM-GPG-KEY-centosofficial-SHA256' },
  ],
  database,
  modulePlatform: 'platform:el',
  packageSets: packageSets('centos-stream-release'),
  strategies: ['dnf5', 'dnf', 'tools:dnf'],
  finishing,
  localePackage: 'glibc-langpack-$language',
  osRelease: { id: 'centos' },
})
