import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeError } from '../../../src/errors.ts'
import { silent } from '../../../src/log.ts'
import { cancelTransfer, listTransfers } from '../../../src/transfer/transfers.ts'
import { pullOci, type OciPull } from '../../../src/transfer/oci/pull-oci.ts'
import {
  digestOf,
  hostArchitecture,
  imageConfig,
  layerOf,
  makeLayer,
  ociTypes,
  tarOf,
  type Layer,
} from '../../fixtures/oci-image.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder, type WebServer } from '../../fixtures/web-server.ts'

const absent = lacks('root')

let place: TemporaryDirectory
let layers: Layer[]
beforeAll(() => {
  if (!absent)
    layers = [makeLayer('echo one > one'), makeLayer('head -c 300000 /dev/urandom > two')]
})
beforeEach(async () => {
  place = await temporaryDirectory()
  process.env['TSNSPAWN_RUNTIME_DIR'] = join(place.path, 'run')
  return async () => {
    delete process.env['TSNSPAWN_RUNTIME_DIR']
    await place[Symbol.asyncDispose]()
  }
})

type Routes = Record<string, Buffer | string | Responder>

interface Image {
  readonly routes: Routes
  readonly blob: (n: number) => string
  readonly config: string
}

const at = 'team/web'
const manifestPath = `/v2/${at}/manifests/1`

/** What an honest registry would serve; tests change it. */
function image(
  options: {
    layers?: readonly Layer[]
    config?: Buffer
    manifest?: (honest: Record<string, unknown>) => unknown
    descriptor?: (n: number, honest: Record<string, unknown>) => Record<string, unknown>
  } = {},
): Image {
  const parts = options.layers ?? layers
  const config = options.config ?? imageConfig({ layers: parts })
  const blob = (n: number) => `/v2/${at}/blobs/${digestOf(parts[n]?.bytes ?? Buffer.alloc(0))}`
  const honest = {
    schemaVersion: 2,
    mediaType: ociTypes.manifest,
    config: { mediaType: ociTypes.config, digest: digestOf(config), size: config.length },
    layers: parts.map(({ bytes }, n) => {
      const descriptor = { mediaType: ociTypes.layer, digest: digestOf(bytes), size: bytes.length }
      return options.descriptor?.(n, descriptor) ?? descriptor
    }),
  }
  const configPath = `/v2/${at}/blobs/${digestOf(config)}`
  const manifest = JSON.stringify(options.manifest?.(honest) ?? honest)
  return {
    blob,
    config: configPath,
    routes: {
      [manifestPath]: manifest,
      [configPath]: config,
      ...Object.fromEntries(parts.map(({ bytes }, n) => [blob(n), bytes])),
    },
  }
}

const request = (server: WebServer, more: Partial<OciPull> = {}): OciPull => ({
  reference: `${server.origin.slice('http://'.length)}/${at}:1`,
  directory: join(place.path, 'machines'),
  stateDirectory: join(place.path, 'state'),
  retries: 0,
  ...more,
})

/** Pulls, and says what it threw; afterwards nothing may be left. */
async function refusal(server: WebServer, more: Partial<OciPull> = {}): Promise<string> {
  mkdirSync(join(place.path, 'outside'), { recursive: true })
  try {
    await pullOci(request(server, more))
  } catch (error) {
    nothingLeft()
    return `${(error as { code?: string }).code}: ${describeError(error)}`
  }
  throw new Error('it was pulled')
}

/** No image, visible or hidden, no transfer, and in the cache nothing but whole blobs. */
function nothingLeft(): void {
  const names = (path: string) => {
    const whole = join(place.path, path)
    return existsSync(whole) ? readdirSync(whole) : []
  }
  expect(names('machines')).toEqual([])
  expect(names('outside')).toEqual([])
  expect(names('run/transfers')).toEqual([])
  expect(names('state/cache/oci').filter((name) => !/^[0-9a-f]{64}$/.test(name))).toEqual([])
}

const send =
  (bytes: Buffer): Responder =>
  (_request, response) =>
    void response.end(bytes)

describe.skipIf(absent)('a registry that sends another thing than it promised', () => {
  test('is fine as long as it does not', async () => {
    await using server = await serve(image().routes)
    await pullOci(request(server))
    expect(readdirSync(join(place.path, 'machines/web')).toSorted()).toEqual(['one', 'two'])
  })

  test('another layer of the same size', async () => {
    const { routes, blob } = image()
    const changed = Buffer.from(layers[1]!.bytes).fill(0, 200, 210)
    await using server = await serve({ ...routes, [blob(1)]: changed })
    expect(await refusal(server)).toMatch(/^CHECKSUM_MISMATCH: cannot fetch .*its sha256 is/)
  })

  test('a shorter layer, and a longer one', async () => {
    const { routes, blob } = image()
    const { bytes } = layers[1]!
    await using short = await serve({ ...routes, [blob(1)]: bytes.subarray(0, -1) })
    expect(await refusal(short)).toMatch(/^SIZE_MISMATCH: /)
    await using long = await serve({ ...routes, [blob(1)]: Buffer.concat([bytes, bytes]) })
    expect(await refusal(long)).toMatch(/^SIZE_MISMATCH: /)
  })

  test('a layer without end', async () => {
    const { routes, blob } = image()
    const endless: Responder = (_request, response) => {
      const more = () => void response.write(Buffer.alloc(65_536), () => setImmediate(more))
      response.on('error', () => {})
      more()
    }
    await using server = await serve({ ...routes, [blob(0)]: endless })
    expect(await refusal(server)).toMatch(/^SIZE_MISMATCH: /)
  })

  test('a manifest without end', async () => {
    await using server = await serve({ [manifestPath]: send(Buffer.alloc(5 * 1024 * 1024, ' ')) })
    expect(await refusal(server)).toMatch(/^TOO_LARGE: /)
  })

  test('another configuration, and one that it says is huge', async () => {
    const { routes, config } = image()
    const other = Buffer.from(String(routes[config]).replace('linux', 'linuX'))
    await using server = await serve({ ...routes, [config]: other })
    expect(await refusal(server)).toMatch(/^CHECKSUM_MISMATCH: /)
    const huge = image({
      manifest: (honest) => ({
        ...honest,
        config: { ...(honest['config'] as object), size: 2 ** 40 },
      }),
    })
    await using second = await serve(huge.routes)
    expect(await refusal(second)).toMatch(/^TOO_LARGE: /)
  })

  test('another manifest than the digest in the reference, or in the index, names', async () => {
    const { routes } = image()
    const digest = digestOf(Buffer.from('something else'))
    const index = {
      schemaVersion: 2,
      mediaType: ociTypes.index,
      manifests: [
        {
          mediaType: ociTypes.manifest,
          digest,
          size: String(routes[manifestPath]).length,
          platform: { os: 'linux', architecture: hostArchitecture },
        },
      ],
    }
    const other = { [`/v2/${at}/manifests/${digest}`]: routes[manifestPath]! }
    await using server = await serve({ ...routes, ...other, [manifestPath]: JSON.stringify(index) })
    const { reference } = request(server)
    expect(await refusal(server, { reference: `${reference}@${digest}` })).toMatch(
      /^CHECKSUM_MISMATCH: /,
    )
    expect(await refusal(server)).toMatch(/^CHECKSUM_MISMATCH: /)
  })

  test('indexes that go round', async () => {
    const deep = (n: number): string => {
      const inner = n === 0 ? '{}' : deep(n - 1)
      const platform = { os: 'linux', architecture: hostArchitecture }
      const descriptor = {
        mediaType: ociTypes.index,
        digest: digestOf(Buffer.from(inner)),
        size: inner.length,
        platform,
      }
      routes[`/v2/${at}/manifests/${descriptor.digest}`] = inner
      return JSON.stringify({
        schemaVersion: 2,
        mediaType: ociTypes.index,
        manifests: [descriptor],
      })
    }
    const routes: Routes = {}
    routes[manifestPath] = deep(5)
    await using server = await serve(routes)
    expect(await refusal(server)).toMatch(/^BAD_MANIFEST: .*index of indexes/)
  })
})

describe.skipIf(absent)('a configuration that lies', () => {
  test('about the layers', async () => {
    const swapped = imageConfig({ layers: layers.toReversed() })
    await using server = await serve(image({ config: swapped }).routes)
    expect(await refusal(server)).toMatch(
      /^CHECKSUM_MISMATCH: cannot unpack layer 1 of 2 .*without compression/,
    )
    const fewer = imageConfig({ layers: layers.slice(0, 1) })
    await using second = await serve(image({ config: fewer }).routes)
    expect(await refusal(second)).toMatch(/^BAD_IMAGE_CONFIG: .*for 1 layers, the manifest has 2/)
  })

  test('about what is to be written into settings', async () => {
    const config = imageConfig({ layers, execution: { Env: ['A=1\n[Files]\nBind=/'] } })
    await using server = await serve(image({ config }).routes)
    expect(await refusal(server)).toMatch(/^BAD_IMAGE_CONFIG: /)
    expect(server.requests.some(({ url }) => url === image().blob(0))).toBe(false)
  })

  test('about the system it is for', async () => {
    const config = imageConfig({ layers, os: 'windows' })
    await using server = await serve(image({ config }).routes)
    expect(await refusal(server)).toMatch(/^NO_SUCH_PLATFORM: /)
  })
})

describe.skipIf(absent)('a layer that is hostile', () => {
  const hostile: readonly (readonly [string, () => Layer, RegExp])[] = [
    [
      'leads out with ..',
      () => layerOf(tarOf('../outside/file')),
      /^BAD_ARCHIVE: cannot unpack layer 1/,
    ],
    ['hides what is outside', () => layerOf(tarOf('../outside/.wh.file')), /^BAD_ARCHIVE: /],
    ['hides the directory above', () => layerOf(tarOf('.wh...')), /^BAD_ARCHIVE: /],
    [
      'is cut off',
      () => {
        const { bytes, diffId } = layers[1]!
        return { bytes: bytes.subarray(0, -1000), diffId }
      },
      /^BAD_COMPRESSION: /,
    ],
    ['is no archive', () => layerOf(Buffer.alloc(1024, 'x')), /^BAD_ARCHIVE: /],
    [
      'is compressed in an unknown way',
      () => ({ bytes: Buffer.from('LZIP and so on'), diffId: layers[0]!.diffId }),
      /^UNKNOWN_COMPRESSION: /,
    ],
  ]
  test.each(hostile)('%s', async (_what, make, expected) => {
    await using server = await serve(image({ layers: [make()] }).routes)
    expect(await refusal(server)).toMatch(expected)
  })

  test('is a bomb', async () => {
    const bomb = layerOf(Buffer.concat([tarOf('big', 50_000_000), Buffer.alloc(50_000_000)]))
    expect(bomb.bytes.length).toBeLessThan(1_000_000)
    await using server = await serve(image({ layers: [layers[0]!, bomb] }).routes)
    const all = layers[0]!.bytes.length + 1_000_000
    expect(await refusal(server, { maxBytes: all })).toMatch(/^ARCHIVE_TOO_LARGE: /)
    const some = image({
      layers: [0, 1, 2].map((n) => layerOf(Buffer.concat([tarOf(`${n}`, 512), Buffer.alloc(512)]))),
    })
    await using second = await serve(some.routes)
    expect(await refusal(second, { maxBytes: 2500 })).toMatch(
      /^ARCHIVE_TOO_LARGE: cannot unpack layer 3 of 3/,
    )
  })

  test('goes through a link of the layer below', async () => {
    const outside = join(place.path, 'outside')
    mkdirSync(outside)
    const link = makeLayer(`ln -s ${outside} way`)
    for (const name of ['way/file', 'way/.wh.precious']) {
      writeFileSync(join(outside, 'precious'), '')
      await using server = await serve(image({ layers: [link, layerOf(tarOf(name))] }).routes)
      await pullOci(request(server, { existing: 'replace' })).catch(() => {})
      expect(readdirSync(outside)).toEqual(['precious'])
    }
  })
})

describe.skipIf(absent)('a registry that leads elsewhere', () => {
  const needsToken =
    (
      realm: () => string,
      bytes: (asked: IncomingMessage, response: ServerResponse) => void,
    ): Responder =>
    (asked, response) => {
      if (asked.headers.authorization === 'Bearer secret-token') return bytes(asked, response)
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm()}",service="s"` }).end()
    }

  test('may send us to another server for a blob, which does not hear of our token', async () => {
    const { routes, blob } = image()
    await using store = await serve({ '/store': layers[0]!.bytes })
    const realm = () => `${server.origin}/token`
    const guarded = Object.fromEntries(
      Object.entries(routes).map(([path, bytes]) => [
        path,
        needsToken(realm, (_asked, response) => void response.end(bytes)),
      ]),
    )
    await using server = await serve({
      ...guarded,
      '/token': JSON.stringify({ access_token: 'secret-token' }),
      [blob(0)]: needsToken(realm, (_asked, response) => {
        response.writeHead(307, { location: `${store.origin}/store` }).end()
      }),
    })
    await pullOci(request(server))
    expect(store.requests).toHaveLength(1)
    expect(store.requests[0]?.headers.authorization).toBeUndefined()
    expect(server.requests.filter(({ url }) => url?.startsWith('/token'))).toHaveLength(1)
  })

  test('with a token that runs out on the way gets a new one', async () => {
    const { routes } = image()
    let valid = 1
    let seen = 0
    await using server = await serve({
      '/token': (_asked, response) =>
        void response.end(JSON.stringify({ token: `token-${valid}` })),
      ...Object.fromEntries(
        Object.entries(routes).map(([path, bytes]): [string, Responder] => [
          path,
          (asked, response) => {
            if (asked.headers.authorization !== `Bearer token-${valid}`) {
              const realm = `Bearer realm="${server.origin}/token"`
              return void response.writeHead(401, { 'www-authenticate': realm }).end()
            }
            if (++seen === 2) valid++
            response.end(bytes)
          },
        ]),
      ),
    })
    await pullOci(request(server))
    expect(server.requests.filter(({ url }) => url?.startsWith('/token'))).toHaveLength(2)
  })

  test('in a circle', async () => {
    const { routes, blob } = image()
    const round: Responder = (asked, response) =>
      void response.writeHead(302, { location: asked.url ?? '/' }).end()
    await using server = await serve({ ...routes, [blob(0)]: round })
    expect(await refusal(server)).toMatch(/^REDIRECT_LOOP: /)
  })

  test('to files of this host', async () => {
    const { routes, blob } = image()
    const away: Responder = (_asked, response) =>
      void response.writeHead(302, { location: 'file:///etc/shadow' }).end()
    await using server = await serve({ ...routes, [blob(0)]: away })
    expect(await refusal(server)).toMatch(/^BAD_REDIRECT: /)
  })

  test('for a token, over plain http to another host', async () => {
    const realm = 'http://auth.example/token'
    await using server = await serve({
      [manifestPath]: needsToken(
        () => realm,
        () => {},
      ),
    })
    expect(await refusal(server)).toMatch(/^INSECURE_REALM: .*http:\/\/auth\.example\/token/)
  })

  test('for a token, again and again', async () => {
    const never: Responder = (_asked, response) => {
      const realm = `Bearer realm="${server.origin}/token"`
      response.writeHead(401, { 'www-authenticate': realm }).end()
    }
    await using server = await serve({ [manifestPath]: never, '/token': '{"token":"no-good"}' })
    expect(await refusal(server)).toMatch(/^UNAUTHORIZED: /)
    expect(server.requests).toHaveLength(3)
  })

  test.each([
    ['nothing', '{}'],
    ['no text', '{"token":7}'],
    ['no JSON', 'token'],
    ['more than a header takes', `{"token":"a\\r\\nHost: evil"}`],
  ])('for a token that is %s', async (_what, answer) => {
    const realm = () => `${server.origin}/token`
    await using server = await serve({
      [manifestPath]: needsToken(realm, () => {}),
      '/token': answer,
    })
    expect(await refusal(server)).toMatch(/^BAD_TOKEN: /)
  })

  test.each([
    ['nothing', '', /does not say how/],
    ['an unknown way', 'Negotiate', /unknown kind: negotiate/],
    ['no server', 'Bearer service="x"', /names no token server/],
    ['a password', 'Basic realm="x"', /wants a user and a password/],
  ])('asking for a login by %s', async (_what, header, expected) => {
    await using server = await serve({
      [manifestPath]: (_asked, response) => {
        response.writeHead(401, header === '' ? {} : { 'www-authenticate': header }).end()
      },
    })
    const said = await refusal(server)
    expect(said).toMatch(/^UNAUTHORIZED: /)
    expect(said).toMatch(expected)
  })
})

describe.skipIf(absent)('a registry that is slow', () => {
  test('is given up when nothing comes any more', async () => {
    const { routes, blob } = image()
    const stall: Responder = (_asked, response) =>
      void response.write(layers[1]!.bytes.subarray(0, 1000))
    await using server = await serve({ ...routes, [blob(1)]: stall })
    expect(await refusal(server, { stallMs: 200 })).toMatch(/^STALLED: /)
  })

  test('is asked for five layers at once and no more', async () => {
    const many = Array.from({ length: 12 }, (_, n) => layerOf(tarOf(`file-${n}`)))
    const { routes, blob } = image({ layers: many })
    let [now, most] = [0, 0]
    const slow = many.map(({ bytes }, n): [string, Responder] => [
      blob(n),
      async (_asked, response) => {
        most = Math.max(most, ++now)
        await sleep(30)
        now--
        response.end(bytes)
      },
    ])
    await using server = await serve({ ...routes, ...Object.fromEntries(slow) })
    await pullOci(request(server))
    expect(most).toBe(5)
    expect(readdirSync(join(place.path, 'machines/web'))).toHaveLength(12)
  })

  test('is no reason to wait when the pull is canceled', async () => {
    const { routes, blob } = image()
    const cancel = new AbortController()
    const stall: Responder = (_asked, response) => {
      response.write(layers[1]!.bytes.subarray(0, 1000))
      cancel.abort()
    }
    await using server = await serve({ ...routes, [blob(1)]: stall })
    expect(await refusal(server, { signal: cancel.signal })).toMatch(/^CANCELED: /)
  })

  test('ends when somebody cancels its transfer', async () => {
    const { routes, blob } = image()
    let canceled: Promise<void> | undefined
    const stall: Responder = (_asked, response) => {
      response.write(layers[1]!.bytes.subarray(0, 1000))
      const [transfer] = listTransfers()
      expect(transfer).toMatchObject({
        type: 'pull-oci',
        local: 'web',
        remote: request(server).reference,
      })
      canceled = cancelTransfer(transfer!.id, silent)
    }
    await using server = await serve({ ...routes, [blob(1)]: stall })
    expect(await refusal(server)).toMatch(/^TRANSFER_CANCELED: /)
    await canceled
  })

  test('and breaks off goes on where it was', async () => {
    const { routes, blob } = image()
    const { bytes } = layers[1]!
    const ranges: (string | undefined)[] = []
    const breaking: Responder = (asked, response) => {
      const { range } = asked.headers
      ranges.push(range)
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
      const headers = { etag: '"one"', 'content-length': bytes.length - from }
      if (from === 0) {
        response.writeHead(200, headers)
        return void response.write(bytes.subarray(0, 100_000), () =>
          setTimeout(() => response.destroy(), 50),
        )
      }
      const part = `bytes ${from}-${bytes.length - 1}/${bytes.length}`
      response.writeHead(206, { ...headers, 'content-range': part }).end(bytes.subarray(from))
    }
    await using server = await serve({ ...routes, [blob(1)]: breaking })
    await pullOci(request(server, { retries: 4 }))
    expect(ranges.at(-1)).toMatch(/^bytes=\d{4,6}-$/)
  })
})
