import { describe, expect, test } from 'vitest'
import { parseDocument, parseImageConfig } from '../../../../src/transfer/oci/documents.ts'

const digest = `sha256:${'ab'.repeat(32)}`
const oci = 'application/vnd.oci.image'
const docker = 'application/vnd.docker'
const config = { mediaType: `${oci}.config.v1+json`, digest, size: 10 }
const layer = { mediaType: `${oci}.layer.v1.tar+gzip`, digest, size: 20 }
const manifest = { schemaVersion: 2, mediaType: `${oci}.manifest.v1+json`, config, layers: [layer] }
const index = {
  schemaVersion: 2,
  mediaType: `${oci}.index.v1+json`,
  manifests: [
    {
      mediaType: `${oci}.manifest.v1+json`,
      digest,
      size: 30,
      platform: { os: 'linux', architecture: 'amd64' },
    },
  ],
}
const parse = (value: unknown, contentType?: string) =>
  parseDocument(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), contentType)

test('a manifest names configuration and layers', () => {
  expect(parse(manifest)).toEqual({
    kind: 'manifest',
    config: { mediaType: config.mediaType, digest, sizeBytes: 10, data: undefined },
    layers: [{ mediaType: layer.mediaType, digest, sizeBytes: 20, data: undefined }],
  })
})

test('an index names manifests and their platforms', () => {
  expect(parse(index)).toMatchObject({
    kind: 'index',
    entries: [{ digest, sizeBytes: 30, platform: { os: 'linux', architecture: 'amd64' } }],
  })
  expect(parse({ ...index, manifests: [{ ...index.manifests[0], platform: null }] })).toMatchObject(
    {
      entries: [{ platform: undefined }],
    },
  )
})

test('Docker’s names of the same things are understood', () => {
  const dockerManifest = {
    schemaVersion: 2,
    mediaType: `${docker}.distribution.manifest.v2+json`,
    config: { ...config, mediaType: `${docker}.container.image.v1+json` },
    layers: [{ ...layer, mediaType: `${docker}.image.rootfs.diff.tar.gzip` }],
  }
  expect(parse(dockerManifest, `${docker}.distribution.manifest.v2+json`).kind).toBe('manifest')
  const list = { ...index, mediaType: `${docker}.distribution.manifest.list.v2+json` }
  expect(parse(list, `${docker}.distribution.manifest.list.v2+json`).kind).toBe('index')
})

test('a document that does not say what it is shows it', () => {
  const { mediaType: _1, ...plain } = manifest
  expect(parse(plain, 'application/json').kind).toBe('manifest')
  const { mediaType: _2, ...plainIndex } = index
  expect(parse(plainIndex).kind).toBe('index')
})

describe('what is no image, or none that can be unpacked, is refused by name', () => {
  test.each([
    ['schema 1', { schemaVersion: 1, fsLayers: [] }, undefined, 'UNSUPPORTED_IMAGE', /schema 1/],
    [
      'schema 1 by type',
      manifest,
      `${docker}.distribution.manifest.v1+prettyjws`,
      'UNSUPPORTED_IMAGE',
      /schema 1/,
    ],
    [
      'another schema',
      { ...manifest, schemaVersion: 3 },
      undefined,
      'BAD_MANIFEST',
      /schemaVersion 3/,
    ],
    ['an unknown document', manifest, 'text/html', 'UNSUPPORTED_IMAGE', /"text\/html"/],
    [
      'index and manifest in one',
      { ...manifest, manifests: [] },
      undefined,
      'BAD_MANIFEST',
      /not either/,
    ],
    ['neither of them', { schemaVersion: 2 }, undefined, 'BAD_MANIFEST', /not either/],
    [
      'an index that says it is a manifest',
      { ...index, mediaType: manifest.mediaType },
      undefined,
      'BAD_MANIFEST',
      /media type/,
    ],
    ['a manifest served as index', manifest, index.mediaType, 'BAD_MANIFEST', /media type/],
    [
      'another thing than an image',
      { ...manifest, config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } },
      undefined,
      'UNSUPPORTED_IMAGE',
      /helm/,
    ],
    [
      'an unknown layer',
      { ...manifest, layers: [layer, { ...layer, mediaType: 'application/x-\u001bodd' }] },
      undefined,
      'UNSUPPORTED_IMAGE',
      /"application\/x-\?odd"/,
    ],
    [
      'a foreign layer of Docker',
      {
        ...manifest,
        layers: [{ ...layer, mediaType: `${docker}.image.rootfs.foreign.diff.tar.gzip` }],
      },
      undefined,
      'UNSUPPORTED_IMAGE',
      /not distributed/,
    ],
    [
      'a foreign layer of OCI',
      { ...manifest, layers: [{ ...layer, mediaType: `${oci}.layer.nondistributable.v1.tar` }] },
      undefined,
      'UNSUPPORTED_IMAGE',
      /not distributed/,
    ],
    ['no layers', { ...manifest, layers: [] }, undefined, 'BAD_MANIFEST', /no layers/],
    [
      'too many layers',
      { ...manifest, layers: Array.from({ length: 4097 }, () => layer) },
      undefined,
      'BAD_MANIFEST',
      /4096/,
    ],
    [
      'a size below nothing',
      { ...manifest, layers: [{ ...layer, size: -1 }] },
      undefined,
      'BAD_MANIFEST',
      /layers\.0\.size/,
    ],
    [
      'a size that is no number',
      { ...manifest, layers: [{ ...layer, size: '20' }] },
      undefined,
      'BAD_MANIFEST',
      /layers\.0\.size/,
    ],
    [
      'a size beyond all',
      { ...manifest, layers: [{ ...layer, size: 2 ** 60 }] },
      undefined,
      'BAD_MANIFEST',
      /layers\.0\.size/,
    ],
    [
      'a digest that leads out',
      { ...manifest, config: { ...config, digest: 'sha256:../../x' } },
      undefined,
      'BAD_DIGEST',
      /digest/,
    ],
    [
      'another kind of digest',
      { ...manifest, config: { ...config, digest: `sha512:${'0'.repeat(128)}` } },
      undefined,
      'UNSUPPORTED_IMAGE',
      /sha512/,
    ],
    ['no JSON', '{', undefined, 'BAD_MANIFEST', /not JSON/],
    ['no object', 'null', undefined, 'BAD_MANIFEST', /not what it should be/],
    ['depth without end', '['.repeat(200_000), undefined, 'BAD_MANIFEST', /not JSON/],
  ])('%s', (_what, value, contentType, code, why) => {
    expect(() => parse(value, contentType)).toThrow(expect.objectContaining({ code }))
    expect(() => parse(value, contentType)).toThrow(why)
  })
})

describe('the configuration', () => {
  const whole = {
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [digest] },
  }
  const read = (value: unknown) => parseImageConfig(Buffer.from(JSON.stringify(value)))

  test('nothing that it leaves out, or says is null, is missed', () => {
    const empty = {
      user: '',
      environment: [],
      entrypoint: [],
      command: [],
      workingDirectory: '',
      stopSignal: undefined,
      ports: [],
    }
    const nulls = {
      User: null,
      Env: null,
      Entrypoint: null,
      Cmd: null,
      WorkingDir: null,
      ExposedPorts: null,
    }
    for (const none of [undefined, null, {}, nulls])
      expect(read({ ...whole, config: none }).execution).toEqual(empty)
  })

  test.each([
    ['os', { ...whole, os: 1 }],
    ['rootfs.type', { ...whole, rootfs: { type: 'tree', diff_ids: [] } }],
    ['config.Env.0', { ...whole, config: { Env: [1] } }],
    ['config.Cmd', { ...whole, config: { Cmd: 'sh' } }],
  ])('%s of another type is refused', (path, value) => {
    expect(() => read(value)).toThrow(expect.objectContaining({ code: 'BAD_IMAGE_CONFIG' }))
    expect(() => read(value)).toThrow(`${path} is not what it should be`)
  })
})
