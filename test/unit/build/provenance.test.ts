import { expect, test } from 'vitest'
import { provenanceOf } from '../../../src/build/provenance.ts'
import { BuildRecorder, type BuildRecord } from '../../../src/build/record.ts'
import { silent } from '../../../src/log.ts'

const sha256 = 'a'.repeat(64)

function record(change: Partial<BuildRecord>): BuildRecord {
  return {
    ...new BuildRecorder('debian', silent).finish(),
    base: {
      path: '/trees/bookworm',
      os: { id: 'debian', version: '12', codename: 'bookworm' },
      identity: 'b'.repeat(64),
    },
    source: {
      origin: 'https://example.org/tiny_1.0.dsc',
      files: [{ name: 'tiny_1.0.dsc', from: 'https://example.org/tiny_1.0.dsc', sha256 }],
    },
    packages: [{ name: 'libstdc++6', version: '1:12.2.0-14', architecture: 'amd64' }],
    repository: [{ name: 'dep', file: 'dep_1_all.deb', sha256 }],
    outputs: [{ name: 'tiny_1.0_amd64.deb', sizeBytes: 1, sha256 }],
    ...change,
  }
}

test('a statement names results, sources, tree and packages with their digests', () => {
  const statement = provenanceOf(record({}), '20260101-000000-aaaa', [])
  expect(statement).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'tiny_1.0_amd64.deb', digest: { sha256 } }],
    predicateType: 'https://slsa.dev/provenance/v1',
  })
  const { buildDefinition, runDetails } = statement.predicate
  expect(buildDefinition.buildType).toBe('tsnspawn-build:debian/v1')
  expect(buildDefinition.externalParameters).toMatchObject({
    source: 'https://example.org/tiny_1.0.dsc',
    tree: '/trees/bookworm',
  })
  expect(buildDefinition.resolvedDependencies).toMatchObject([
    { name: 'tiny_1.0.dsc', uri: 'https://example.org/tiny_1.0.dsc', digest: { sha256 } },
    { name: '/trees/bookworm', digest: { sha256: 'b'.repeat(64) } },
    { uri: 'pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14?arch=amd64' },
    { name: 'dep_1_all.deb', digest: { sha256 } },
  ])
  expect(runDetails.metadata).toMatchObject({ invocationId: '20260101-000000-aaaa' })
})

test.each([
  ['arch', 'arch', 'pkg:alpm/arch/zlib@1-1?arch=x86_64'],
  ['rpm', 'fedora', 'pkg:rpm/fedora/zlib@1-1?arch=x86_64'],
  ['command', 'ubuntu', 'pkg:deb/ubuntu/zlib@1-1?arch=x86_64'],
  ['command', 'opensuse-leap', 'pkg:rpm/opensuse-leap/zlib@1-1?arch=x86_64'],
  ['command', 'solus', undefined],
])('a package of a %s build in a tree of %s is %s', (driver, id, uri) => {
  const { predicate } = provenanceOf(
    record({
      driver,
      base: { path: '/t', os: { id, version: undefined, codename: undefined }, identity: '' },
      source: undefined,
      repository: [],
      packages: [{ name: 'zlib', version: '1-1', architecture: 'x86_64' }],
    }),
    'x',
    [],
  )
  expect(predicate.buildDefinition.resolvedDependencies.at(-1)?.uri).toBe(uri)
})

test('a directory is told by the digest of its tree, as a path', () => {
  const source = { origin: '/home/me/tiny', treeSha256: sha256, files: 3 }
  const { resolvedDependencies } = provenanceOf(record({ source }), 'x', []).predicate
    .buildDefinition
  expect(resolvedDependencies[0]).toEqual({ name: '/home/me/tiny', digest: { treeSha256: sha256 } })
})
