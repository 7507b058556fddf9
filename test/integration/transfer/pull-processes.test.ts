import { execa } from 'execa'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import type { Responder } from '../../fixtures/web-server.ts'
import { treeListing } from '../images/tree-listing.ts'
import {
  imageServer,
  makeTree,
  namesIn,
  packTree,
  sha256,
  type ImageServer,
} from './image-server.ts'

describe.skipIf(lacks('root', 'program:xz'))('a pull in a process of its own', () => {
  let scratch: TemporaryDirectory
  let tree: string
  let archive: Buffer
  let machines: string
  let runtime: string
  beforeAll(async () => {
    scratch = await temporaryDirectory()
    tree = makeTree(scratch.path)
    archive = packTree(tree, '-J')
  })
  afterAll(() => scratch[Symbol.asyncDispose]())
  beforeEach(() => {
    machines = mkdtempSync(join(scratch.path, 'machines-'))
    runtime = mkdtempSync(join(scratch.path, 'run-'))
  })
  afterEach(() => rmSync(machines, { recursive: true, force: true }))

  const verb = (...args: string[]) => {
    const [program, ...rest] = tsnspawnBuild('--machines-dir', machines, ...args)
    return execa(program, rest, {
      reject: false,
      stdin: 'ignore',
      env: { TSNSPAWN_RUNTIME_DIR: runtime },
    })
  }
  const pull = (server: ImageServer, ...more: string[]) =>
    verb('pull-tar', server.url, 'box', '--verify=checksum', ...more)
  const transfers = async () =>
    JSON.parse((await verb('list-transfers', '-o', 'json')).stdout) as {
      id: number
      percent: number
    }[]
  const part = () => namesIn(machines).find((name) => name.endsWith('.part'))
  const visible = () => namesIn(machines).filter((name) => !name.startsWith('.'))

  /** Sends half of the file, and the rest when it is asked for again. */
  const stalling = () => {
    const respond: Responder = (request, response) => {
      if (request.headers.range !== undefined) return server.file.respond(request, response)
      response.writeHead(200, { etag: '"1"', 'content-length': archive.length })
      response.write(archive.subarray(0, archive.length / 2))
    }
    let server: ImageServer
    return (async () => {
      server = await imageServer('deb.tar.xz', archive, { '/deb.tar.xz': respond }, { etag: '"1"' })
      return server
    })()
  }
  const halfThere = () =>
    vi.waitFor(
      () => {
        const name = part()
        if (name === undefined) throw new Error('no part yet')
        const size = readFileSync(join(machines, name)).length
        expect(size).toBeGreaterThan(archive.length / 2 - 1)
      },
      { timeout: 20_000, interval: 30 },
    )

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'that gets %s ends at once, keeps the part, and goes on next time',
    async (signal, status) => {
      await using server = await stalling()
      const first = pull(server)
      await halfThere()
      first.kill(signal)
      const ended = await first
      expect(ended.exitCode).toBe(status)
      expect(ended.stderr).toContain('what was fetched is kept')
      expect(namesIn(machines)).toEqual([part()])
      expect(readdirSync(join(runtime, 'transfers'))).toEqual([])
      const second = await verb('--json', 'pull-tar', server.url, 'box', '--verify=checksum')
      expect(second.exitCode).toBe(0)
      const lines = second.stdout
        .split('\n')
        .map((line) => JSON.parse(line) as { kind: string; value?: object })
      expect(lines.find(({ kind }) => kind === 'result')?.value).toMatchObject({
        resumedBytes: expect.any(Number),
        verified: 'checksum',
      })
      const ranges = server.web.requests.filter(({ headers }) => headers.range !== undefined)
      expect(ranges.map(({ headers }) => headers['if-range'])).toEqual(['"1"'])
      expect(treeListing(join(machines, 'box'))).toBe(treeListing(tree))
      expect(namesIn(machines)).toEqual(['box'])
    },
  )

  test('that fails before the server hands anything out keeps what an earlier one brought', async () => {
    let closed = false
    const respond: Responder = (request, response) => {
      if (closed) return void response.writeHead(403).end()
      if (request.headers.range !== undefined) return server.file.respond(request, response)
      response.writeHead(200, { etag: '"1"', 'content-length': archive.length })
      response.write(archive.subarray(0, archive.length / 2))
    }
    const others = { '/deb.tar.xz': respond }
    await using server = await imageServer('deb.tar.xz', archive, others, { etag: '"1"' })
    const first = pull(server)
    await halfThere()
    first.kill('SIGINT')
    await first
    const kept = part()
    closed = true
    const second = await pull(server)
    expect(second.exitCode).not.toBe(0)
    expect(second.stderr).toContain('what was fetched is kept')
    expect(namesIn(machines)).toEqual([kept])
    closed = false
    const third = await pull(server)
    expect(third.exitCode).toBe(0)
    expect(third.stderr).toContain('going on behind')
    expect(namesIn(machines)).toEqual(['box'])
  })

  test('that is ended ten times, by signals and kills, still ends with the right hash', async () => {
    const piece = Math.floor(archive.length / 12)
    let sent = 0
    let whole = false
    const respond: Responder = (request, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      response.writeHead(from === 0 ? 200 : 206, {
        etag: '"1"',
        'content-length': archive.length - from,
        'content-range': `bytes ${from}-${archive.length - 1}/${archive.length}`,
      })
      if (whole) return void response.end(archive.subarray(from))
      sent = from + piece
      response.write(archive.subarray(from, sent))
    }
    await using server = await imageServer('deb.tar.xz', archive, { '/deb.tar.xz': respond })
    const arrived = () => {
      const name = part()
      const bytes = name === undefined ? 0 : statSync(join(machines, name)).size
      // The file begins with what it is a part of.
      expect(bytes).toBeGreaterThan(4095 + sent)
    }
    for (let round = 0; round < 10; round++) {
      sent = Infinity
      const run = pull(server)
      await vi.waitFor(arrived, { timeout: 30_000, interval: 20 })
      run.kill(round % 2 === 0 ? 'SIGKILL' : 'SIGINT')
      await run
      expect(visible()).toEqual([])
    }
    whole = true
    const last = await verb('--json', 'pull-tar', server.url, 'box', '--verify=checksum')
    const lines = last.stdout.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.find(({ kind }) => kind === 'result')?.['value']).toMatchObject({
      sha256: sha256(archive),
      resumedBytes: 10 * piece,
    })
    expect(treeListing(join(machines, 'box'))).toBe(treeListing(tree))
    expect(namesIn(machines)).toEqual(['box'])
  })

  test('is listed while it runs, and canceling it removes everything', async () => {
    await using server = await stalling()
    const first = pull(server)
    await halfThere()
    await sleep(600)
    const [row] = await transfers()
    expect(row).toMatchObject({
      type: 'pull-tar',
      local: 'box',
      remote: server.url,
      pid: first.pid,
    })
    expect((await verb('list-transfers')).stdout).toMatch(/^ID PERCENT TYPE     LOCAL REMOTE\n 1 /)
    const canceled = await verb('cancel-transfer', String(row?.id))
    expect(canceled).toMatchObject({ exitCode: 0, stdout: 'canceled transfer 1' })
    expect(namesIn(machines)).toEqual([])
    const ended = await first
    expect(ended.exitCode).toBe(5)
    expect(ended.stderr).toContain('was canceled')
    expect((await verb('list-transfers')).stdout).toBe('No transfers.')
    expect((await verb('cancel-transfer', '1')).exitCode).toBe(2)
  })

  test('that is stopped is killed when it is canceled, and leaves nothing', async () => {
    await using server = await stalling()
    const first = pull(server)
    await halfThere()
    first.kill('SIGSTOP')
    const canceled = await verb('cancel-transfer', '1')
    expect(canceled.exitCode).toBe(0)
    expect((await first).signal).toBe('SIGKILL')
    expect(namesIn(machines)).toEqual([])
  })

  test('refuses a second one of the same URL', async () => {
    await using server = await stalling()
    const first = pull(server)
    await halfThere()
    const second = await verb('pull-tar', server.url, 'other', '--verify=no')
    expect(second.exitCode).toBe(9)
    expect(second.stderr).toContain('under way already')
    first.kill('SIGINT')
    await first
  })

  test('killed at any moment shows nothing half made, and leaves nothing after the next', async () => {
    await using server = await imageServer('deb.tar.xz', archive)
    for (const afterMs of [60, 120, 180, 240, 300, 360, 420, 500]) {
      const run = pull(server, '--rate-limit=4M')
      await sleep(afterMs)
      run.kill('SIGKILL')
      await run
      if (visible().length === 0) continue
      expect(visible()).toEqual(['box'])
      expect(treeListing(join(machines, 'box'))).toBe(treeListing(tree))
      rmSync(join(machines, 'box'), { recursive: true })
    }
    expect((await pull(server)).exitCode).toBe(0)
    expect(namesIn(machines)).toEqual(['box'])
    expect(treeListing(join(machines, 'box'))).toBe(treeListing(tree))
    await verb('list-transfers')
    expect(readdirSync(join(runtime, 'transfers'))).toEqual([])
  })

  test.each([
    [['--verify=maybe'], 'nothing that can be verified'],
    [['--rate-limit=fast'], 'is no size'],
    [['--class=house'], 'no class house'],
    [['--keep-download=often'], 'neither yes, no nor auto'],
    [['--verify=no', '--keyring=/x'], 'only with --verify=signature'],
  ])('with %s is bad usage', async (options, message) => {
    const { exitCode, stderr } = await verb('pull-tar', 'http://127.0.0.1:1/x.tar', ...options)
    expect(exitCode).toBe(2)
    expect(stderr).toContain(message)
  })
})
