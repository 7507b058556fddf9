import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createSecureServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { LogEvent } from '../../../src/log.ts'
import { openContent, openSteady } from '../../../src/transfer/steady-stream.ts'
import { flakyFile } from '../../fixtures/flaky-file.ts'
import { lacks } from '../../fixtures/requires.ts'
import { serve } from '../../fixtures/web-server.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const content = randomBytes(600_000)
const other = Buffer.concat([randomBytes(10), content.subarray(10)])

async function read(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

test('a transfer that breaks off ten times ends with the right bytes', async () => {
  const file = flakyFile(content, { cuts: Array.from({ length: 10 }, () => 40_000) })
  await using server = await serve({ '/f': file.respond })
  const stream = await openContent({ url: new URL(`${server.origin}/f`) })
  expect((await read(stream.chunks)).equals(content)).toBe(true)
  expect(stream.sha256()).toBe(sha256(content))
  expect(file.asked).toHaveLength(11)
  expect(file.asked.slice(1).every(({ range }) => range !== undefined)).toBe(true)
})

test('where the server knows no ranges the beginning is read again and compared', async () => {
  const file = flakyFile(content, { cuts: [200_000, 300_000], ranges: 'ignored' })
  await using server = await serve({ '/f': file.respond })
  const stream = await openContent({ url: new URL(`${server.origin}/f`) })
  expect((await read(stream.chunks)).equals(content)).toBe(true)
})

test.each([
  ['with a tag and ranges', '"one"', 'served'],
  ['with a tag, without ranges', '"one"', 'ignored'],
  ['without a tag', undefined, 'ignored'],
] as const)('a file that changes in between is not mixed: %s', async (_how, etag, ranges) => {
  const file = flakyFile(content, { cuts: [200_000], etag, ranges })
  file.before = () => {
    if (file.asked.length !== 2) return
    file.content = other
    if (etag !== undefined) file.etag = '"two"'
  }
  await using server = await serve({ '/f': file.respond })
  const stream = await openContent({ url: new URL(`${server.origin}/f`) })
  await expect(read(stream.chunks)).rejects.toMatchObject({ code: 'FILE_CHANGED' })
})

test('a server that sends the rest of another file is found out', async () => {
  await using server = await serve({
    '/f': (request, response) => {
      if (request.headers.range === undefined) {
        response.writeHead(200, { etag: '"one"', 'content-length': content.length })
        response.write(content.subarray(0, 200_000), () => response.destroy())
      } else {
        const from = Number(/\d+/.exec(request.headers.range)?.[0])
        const range = `bytes ${from}-${content.length - 1}/${content.length}`
        response.writeHead(206, { etag: '"two"', 'content-range': range })
        response.end(other.subarray(from))
      }
    },
  })
  const stream = await openContent({ url: new URL(`${server.origin}/f`) })
  await expect(read(stream.chunks)).rejects.toMatchObject({ code: 'FILE_CHANGED' })
})

test('a server that never gets further is given up', async () => {
  const file = flakyFile(content, { cuts: Array.from({ length: 100 }, () => 10) })
  await using server = await serve({ '/f': file.respond })
  const stream = await openContent({ url: new URL(`${server.origin}/f`), retries: 2 })
  await expect(read(stream.chunks)).rejects.toMatchObject({ code: expect.any(String) })
  expect(file.asked).toHaveLength(3)
})

test('an answer shorter than announced is never taken for the whole', async () => {
  await using server = await serve({
    '/f': (_request, response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort`)
    },
  })
  const stream = await openContent({ url: new URL(`${server.origin}/f`), retries: 0 })
  await expect(read(stream.chunks)).rejects.toMatchObject({ code: 'NETWORK' })
})

test('what an earlier run has brought is handed out first, and only the rest is asked for', async () => {
  const file = flakyFile(content)
  await using server = await serve({ '/f': file.respond })
  const earlier = {
    sizeBytes: 250_000,
    totalBytes: content.length,
    validator: file.etag as string,
    read: async function* () {
      yield content.subarray(0, 250_000)
    },
  }
  const stream = await openContent({ url: new URL(`${server.origin}/f`), earlier })
  expect(stream.earlierBytes).toBe(250_000)
  expect((await read(stream.chunks)).equals(content)).toBe(true)
  expect(stream.sha256()).toBe(sha256(content))
  expect(file.asked).toEqual([{ range: 'bytes=250000-', ifRange: file.etag }])
})

test.each([
  ['the file has changed', '"old"', 250_000],
  ['the file has become shorter', undefined, 700_000],
])('what an earlier run has brought is dropped when %s', async (_why, validator, sizeBytes) => {
  const file = flakyFile(content)
  await using server = await serve({ '/f': file.respond })
  const stream = await openContent({
    url: new URL(`${server.origin}/f`),
    earlier: {
      sizeBytes,
      totalBytes: undefined,
      validator: validator ?? (file.etag as string),
      read: async function* () {
        yield other
      },
    },
  })
  expect(stream.earlierBytes).toBe(0)
  expect((await read(stream.chunks)).equals(content)).toBe(true)
})

test('a version that is known already is not sent again', async () => {
  const file = flakyFile(content)
  await using server = await serve({ '/f': file.respond })
  const known = ['"x"', file.etag as string]
  const answer = await openSteady({ url: new URL(`${server.origin}/f`), known })
  expect(answer).toEqual({ state: 'not-modified', etag: file.etag })
})

test('a rate limit is kept', async () => {
  const file = flakyFile(content.subarray(0, 200_000))
  await using server = await serve({ '/f': file.respond })
  const began = performance.now()
  const stream = await openContent({
    url: new URL(`${server.origin}/f`),
    bytesPerSecond: 400_000,
    stallMs: 50,
  })
  await read(stream.chunks)
  expect(performance.now() - began).toBeGreaterThan(450)
})

test('progress tells the speed and the time left', async () => {
  const file = flakyFile(content)
  await using server = await serve({ '/f': file.respond })
  const events: LogEvent[] = []
  const stream = await openContent({
    url: new URL(`${server.origin}/f`),
    bytesPerSecond: 1_000_000,
    log: (event) => events.push(event),
  })
  await read(stream.chunks)
  expect(events).toContainEqual({
    kind: 'progress',
    text: 'f',
    done: expect.any(Number),
    total: 600_000,
    unit: 'bytes',
    perSecond: expect.any(Number),
    remainingSeconds: expect.any(Number),
  })
})

test('a proxy of the environment is asked for the file itself, not for a tunnel', async () => {
  const asked: string[] = []
  const proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end('through the proxy')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const { port } = proxy.address() as AddressInfo
  try {
    for (const name of ['http_proxy', 'all_proxy']) {
      // In a process of its own: the proxies are read once.
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['scripts/run.mjs', 'test/fixtures/fetch-probe.ts', 'http://unknown.invalid/file'],
        { env: { PATH: process.env['PATH'], [name]: `127.0.0.1:${port}` } },
      )
      expect(stdout).toBe('through the proxy')
    }
  } finally {
    proxy.closeAllConnections()
    proxy.close()
  }
  expect(asked).toEqual(['GET http://unknown.invalid/file', 'GET http://unknown.invalid/file'])
})

/** Answers with the whole body at once, and closes the connection at once. */
async function abruptServer(head: string, body: Buffer) {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}Connection: close\r\n\r\n`)
      socket.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: new URL(`http://127.0.0.1:${port}/f`),
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}

const chunked = (body: Buffer) =>
  Buffer.concat([
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from('\r\n0\r\n\r\n'),
  ])

test.each([
  ['tells its length', (size: number) => `Content-Length: ${size}\r\n`, (body: Buffer) => body],
  ['comes in chunks', () => 'Transfer-Encoding: chunked\r\n', chunked],
  ['ends with the connection', () => '', (body: Buffer) => body],
] as const)(
  'a slow reader gets all of a body that %s from a server that is gone already',
  async (_how, head, wrap) => {
    for (const size of [1 << 16, (1 << 16) + 1, 300_000]) {
      const body = content.subarray(0, size)
      await using server = await abruptServer(head(size), wrap(body))
      const stream = await openContent({ url: server.url })
      await sleep(50)
      const got: Buffer[] = []
      for await (const chunk of stream.chunks) {
        got.push(chunk)
        await sleep(5)
      }
      expect(Buffer.concat(got).equals(body)).toBe(true)
    }
  },
)

test('a body that is cut by a server that is gone already is not taken for whole', async () => {
  await using server = await abruptServer('Content-Length: 100000\r\n', content.subarray(0, 70_000))
  const stream = await openContent({ url: server.url, retries: 0 })
  await sleep(50)
  await expect(read(stream.chunks)).rejects.toMatchObject({ code: 'NETWORK' })
})

test.skipIf(lacks('program:openssl'))('a redirect from https to http is refused', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'https-'))
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-addext'],
      'subjectAltName=DNS:localhost',
    ],
    { stdio: 'ignore' },
  )
  await using plain = await serve({ '/file': 'in clear' })
  const secure = createSecureServer(
    { key: readFileSync(key), cert: readFileSync(cert) },
    (request, response) => {
      if (request.url === '/file') response.end('kept secret')
      else response.writeHead(302, { location: `${plain.origin}/file` }).end()
    },
  )
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  const { port } = secure.address() as AddressInfo
  // In a process of its own, which trusts the certificate.
  const env = { PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: cert }
  const fetch = (path: string) =>
    promisify(execFile)(
      process.execPath,
      ['scripts/run.mjs', 'test/fixtures/fetch-probe.ts', `https://localhost:${port}${path}`],
      { env },
    )
  try {
    expect((await fetch('/file')).stdout).toBe('kept secret')
    await expect(fetch('/down')).rejects.toMatchObject({
      stderr: expect.stringContaining('from https to http'),
    })
    expect(plain.requests).toEqual([])
  } finally {
    secure.closeAllConnections()
    secure.close()
    rmSync(directory, { recursive: true })
  }
})
