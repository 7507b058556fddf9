import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { download, fetchText } from '../../../src/transfer/download.ts'
import type { Authority } from '../../../src/transfer/http-body.ts'
import { serve, type Responder } from '../../fixtures/web-server.ts'

const content = Buffer.alloc(300_000, 'tsnspawn ')
const sha256 = createHash('sha256').update(content).digest('hex')

let directory: string
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'download-'))))
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const to = () => join(directory, 'file')
const bytesHere = () =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
const nothingLeft = () => expect(readdirSync(directory)).toEqual([])

test('a file arrives whole, with its size and hash', async () => {
  await using server = await serve({ '/a': content })
  const got = await download({
    url: new URL(`${server.origin}/a`),
    destination: to(),
    sha256,
    sizeBytes: content.length,
  })
  expect(got).toEqual({ sizeBytes: content.length, sha256 })
  expect(readFileSync(to()).equals(content)).toBe(true)
  expect(readdirSync(directory)).toEqual(['file'])
})

test('nothing that a server could compress is asked for compressed', async () => {
  await using server = await serve({ '/a': content })
  await download({ url: new URL(`${server.origin}/a`), destination: to() })
  expect(server.requests[0]?.headers['accept-encoding']).toBeUndefined()
})

describe('a file that is not what was promised leaves nothing', () => {
  test.each([
    ['another hash', { sha256: sha256.replace(/^./, 'x') }, 'CHECKSUM_MISMATCH'],
    ['fewer bytes', { sizeBytes: content.length + 1 }, 'SIZE_MISMATCH'],
    ['more bytes', { sizeBytes: content.length - 1 }, 'SIZE_MISMATCH'],
    ['more than the limit', { maxBytes: 1000 }, 'TOO_LARGE'],
  ])('%s', async (_what, promise, code) => {
    await using server = await serve({ '/a': content })
    const fetching = download({ url: new URL(`${server.origin}/a`), destination: to(), ...promise })
    await expect(fetching).rejects.toMatchObject({ code })
    nothingLeft()
  })

  test('an endless body without a length is cut at the limit', async () => {
    await using server = await serve({
      '/a': (_request, response) => {
        const more = () => void response.write(Buffer.alloc(65_536), () => setImmediate(more))
        response.on('error', () => {})
        more()
      },
    })
    const fetching = download({
      url: new URL(`${server.origin}/a`),
      destination: to(),
      maxBytes: 1_000_000,
    })
    await expect(fetching).rejects.toMatchObject({ code: 'TOO_LARGE' })
    nothingLeft()
  })
})

test('a missing file is not asked for twice', async () => {
  await using server = await serve({})
  const fetching = download({ url: new URL(`${server.origin}/a`), destination: to() })
  await expect(fetching).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(server.requests).toHaveLength(1)
  nothingLeft()
})

test('a server that is busy is asked again', async () => {
  let asked = 0
  await using server = await serve({
    '/a': (_request, response) =>
      void (++asked < 3 ? response.writeHead(503).end() : response.end(content)),
  })
  await download({ url: new URL(`${server.origin}/a`), destination: to(), sha256 })
  expect(asked).toBe(3)
})

describe('a transfer that breaks off', () => {
  const breaking = (headers: Record<string, string>, ranges: (string | undefined)[]) =>
    serve({
      '/a': (request, response) => {
        const range = request.headers.range
        ranges.push(range)
        const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)
        if (ranges.length === 1) {
          response.writeHead(200, { ...headers, 'content-length': content.length })
          response.write(content.subarray(0, 100_000))
          // What is under way when a connection breaks may be lost; what has arrived is not.
          void vi.waitUntil(() => bytesHere() > 0, 30_000).then(() => response.destroy())
          return
        }
        const part = { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }
        response.writeHead(from === 0 ? 200 : 206, { ...headers, ...(from === 0 ? {} : part) })
        response.end(content.subarray(from))
      },
    })

  test('goes on where it was when the server can tell that the file is the same', async () => {
    const ranges: (string | undefined)[] = []
    await using server = await breaking({ etag: '"one"' }, ranges)
    await download({ url: new URL(`${server.origin}/a`), destination: to(), sha256 })
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/)])
    expect(server.requests[1]?.headers['if-range']).toBe('"one"')
  })

  test('starts over when it cannot', async () => {
    const ranges: (string | undefined)[] = []
    await using server = await breaking({}, ranges)
    await download({ url: new URL(`${server.origin}/a`), destination: to(), sha256 })
    expect(ranges).toEqual([undefined, undefined])
    expect(readFileSync(to()).equals(content)).toBe(true)
  })

  test('fails when it always does, and leaves nothing', async () => {
    await using server = await serve({
      '/a': (_request, response) => {
        response.writeHead(200, { 'content-length': content.length })
        response.write(content.subarray(0, 10), () => response.destroy())
      },
    })
    const fetching = download({ url: new URL(`${server.origin}/a`), destination: to(), retries: 1 })
    await expect(fetching).rejects.toThrow('cannot fetch')
    expect(server.requests).toHaveLength(2)
    nothingLeft()
  })
})

describe('redirects', () => {
  const redirect =
    (location: string): Responder =>
    (_request, response) =>
      void response.writeHead(302, { location }).end()

  test('are followed, relative ones too', async () => {
    await using server = await serve({
      '/a': redirect('b'),
      '/b': redirect('/c/d'),
      '/c/d': content,
    })
    const got = await download({ url: new URL(`${server.origin}/a`), destination: to(), sha256 })
    expect(got.sha256).toBe(sha256)
  })

  test.each([
    ['a loop', '/a', 'REDIRECT_LOOP'],
    ['to a file of this host', 'file:///etc/passwd', 'BAD_REDIRECT'],
    ['to another scheme', 'ftp://127.0.0.1/', 'BAD_REDIRECT'],
  ])('%s is refused', async (_what, location, code) => {
    await using server = await serve({ '/a': redirect(location) })
    const fetching = download({ url: new URL(`${server.origin}/a`), destination: to() })
    await expect(fetching).rejects.toMatchObject({ code })
    nothingLeft()
  })

  test('do not carry a password to another server', async () => {
    await using other = await serve({ '/b': content })
    await using server = await serve({ '/a': redirect(`${other.origin}/b`) })
    const url = new URL(`${server.origin}/a`)
    url.username = 'me'
    url.password = 'secret'
    await download({ url, destination: to() })
    expect(server.requests[0]?.headers.authorization).toBe(
      `Basic ${Buffer.from('me:secret').toString('base64')}`,
    )
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
  })
})

test('a password never gets into a message', async () => {
  await using server = await serve({})
  const url = new URL(`${server.origin}/a`)
  url.password = 'secret'
  const error: unknown = await download({ url, destination: to() }).catch(
    (thrown: unknown) => thrown,
  )
  expect(JSON.stringify(error)).not.toContain('secret')
})

test('a server that stalls is given up', async () => {
  await using server = await serve({
    '/a': (_request, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 10))
    },
  })
  const fetching = download({
    url: new URL(`${server.origin}/a`),
    destination: to(),
    stallMs: 50,
    retries: 0,
  })
  await expect(fetching).rejects.toMatchObject({ code: 'STALLED' })
  nothingLeft()
})

test('Ctrl-C ends it at once, and leaves nothing', async () => {
  const stop = new AbortController()
  await using server = await serve({
    '/a': (_request, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 10), () => stop.abort())
    },
  })
  const fetching = download({
    url: new URL(`${server.origin}/a`),
    destination: to(),
    signal: stop.signal,
  })
  await expect(fetching).rejects.toMatchObject({ code: 'CANCELED' })
  nothingLeft()
})

test('a file of this host is copied with the same checks', async () => {
  const source = join(directory, 'source')
  writeFileSync(source, content)
  await download({ url: pathToFileURL(source), destination: to(), sha256 })
  const bad = download({ url: pathToFileURL(source), destination: to(), sha256: 'x' })
  await expect(bad).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
})

test('a destination that cannot be written says so with the kernel word for it', async () => {
  await using server = await serve({ '/a': content })
  const fetching = download({
    url: new URL(`${server.origin}/a`),
    destination: join(directory, 'missing/file'),
  })
  await expect(fetching).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a text larger than its limit is refused', async () => {
  await using server = await serve({ '/a': content, '/b': 'short' })
  await expect(
    fetchText({ url: new URL(`${server.origin}/a`), maxBytes: 100 }),
  ).rejects.toMatchObject({ code: 'TOO_LARGE' })
  expect(await fetchText({ url: new URL(`${server.origin}/b`), maxBytes: 100 })).toBe('short')
})

describe('a server that asks who wants the file', () => {
  const file = async (origin: string, authority: Authority) =>
    fetchText({
      url: new URL(`${origin}/a`),
      maxBytes: 100,
      retries: 0,
      authority,
      accept: ['a/b', 'c/d'],
    })
  const unless =
    (secret: string): Responder =>
    (request, response) => {
      if (request.headers.authorization === secret) return void response.end('content')
      response.writeHead(401, { 'www-authenticate': ['Basic realm="a"', 'Bearer realm="b"'] }).end()
    }
  const remembering = (secret: string) => {
    const heard: (string | undefined)[][] = []
    const authority: Authority = {
      authorization: () => (heard.length > 0 ? secret : undefined),
      answer: async (challenge, refused) => {
        heard.push([challenge, refused])
        return secret
      },
    }
    return { heard, authority }
  }

  test('gets an answer once, which is remembered by whoever gave it', async () => {
    await using server = await serve({ '/a': unless('Bearer x') })
    const { heard, authority } = remembering('Bearer x')
    expect(await file(server.origin, authority)).toBe('content')
    expect(await file(server.origin, authority)).toBe('content')
    expect(heard).toEqual([['Basic realm="a", Bearer realm="b"', undefined]])
    expect(server.requests.map(({ headers }) => headers.accept)).toEqual(Array(3).fill('a/b, c/d'))
  })

  test('and refuses the answer is not asked again', async () => {
    await using server = await serve({ '/a': unless('Bearer x') })
    const { authority } = remembering('Bearer y')
    await expect(file(server.origin, authority)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    expect(server.requests).toHaveLength(2)
  })

  test('hears nothing when it is another one that we were sent to', async () => {
    await using other = await serve({ '/b': unless('Bearer x') })
    await using server = await serve({
      '/a': (_request, response) =>
        void response.writeHead(302, { location: `${other.origin}/b` }).end(),
    })
    const { heard, authority } = remembering('Bearer x')
    heard.push([])
    await expect(file(server.origin, authority)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    expect(server.requests[0]?.headers.authorization).toBe('Bearer x')
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
    expect(heard).toHaveLength(1)
  })
})
