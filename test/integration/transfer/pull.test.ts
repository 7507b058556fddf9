import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { pullRaw, pullTar } from '../../../src/transfer/pull/pull.ts'
import {
  destroySubvolume,
  setSubvolumeReadOnly,
  snapshotSubvolume,
} from '../../../src/sys/btrfs.ts'
import { getXattr } from '../../../src/sys/xattr.ts'
import { makeGpgSigner } from '../../fixtures/gpg-signer.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import type { Responder } from '../../fixtures/web-server.ts'
import { noise } from '../../fixtures/noise.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'
import { sharesAllBlocks } from '../images/shared-blocks.ts'
import { treeListing } from '../images/tree-listing.ts'
import { imageServer, makeTree, namesIn, packTree, request, sha256 } from './image-server.ts'

const quiet = { stdio: 'ignore' } as const

describe.skipIf(lacks('root', 'program:xz'))('an image', () => {
  let scratch: TemporaryDirectory
  let tree: string
  let archive: Buffer
  let machines: string
  beforeAll(async () => {
    scratch = await temporaryDirectory()
    tree = makeTree(scratch.path)
    archive = packTree(tree, '-z')
    process.env['TSNSPAWN_RUNTIME_DIR'] = join(scratch.path, 'run')
  })
  afterAll(async () => {
    delete process.env['TSNSPAWN_RUNTIME_DIR']
    await scratch[Symbol.asyncDispose]()
  })
  beforeEach(() => void (machines = mkdtempSync(join(scratch.path, 'machines-'))))
  afterEach(() => {
    execFileSync('chattr', ['-R', '-i', machines], { stdio: 'ignore' })
    rmSync(machines, { recursive: true, force: true })
  })

  const nothingLeft = () => {
    expect(namesIn(machines)).toEqual([])
    expect(namesIn(join(scratch.path, 'run/transfers'))).toEqual([])
  }

  describe('of a tree', () => {
    test.each([
      ['gzip', '-z', 'deb.tar.gz'],
      ['xz', '-J', 'deb.tar.xz'],
      ['bzip2', '-j', 'deb.tar.bz2'],
      ['zstd', '--zstd', 'deb.tar.zst'],
      ['nothing', undefined, 'deb.tar'],
      ['xz and called .tgz', '-J', 'deb.tgz'],
    ])('packed with %s arrives whole, under the name of its URL', async (_how, flag, file) => {
      await using server = await imageServer(file, packTree(tree, flag))
      const image = await pullTar(request(machines, server.url))
      expect(image).toMatchObject({
        name: 'deb',
        path: join(machines, 'deb'),
        verified: 'checksum',
        sha256: sha256(server.file.content),
      })
      expect(treeListing(image.path)).toBe(treeListing(tree))
      expect(namesIn(machines)).toEqual(['deb'])
    })

    test('that lies one directory deeper is lifted', async () => {
      const packed = execFileSync('tar', ['-C', join(tree, '..'), '-c', tree.split('/').at(-1)!], {
        maxBuffer: 1 << 28,
      })
      await using server = await imageServer('deb.tar', packed)
      const { path } = await pullTar(request(machines, server.url))
      expect(existsSync(join(path, 'etc/os-release'))).toBe(true)
    })

    test('can be marked read-only, and comes from a file of this host too', async () => {
      const file = join(scratch.path, 'local.tar.gz')
      writeFileSync(file, archive)
      const { path } = await pullTar(
        request(machines, pathToFileURL(file).href, {
          verify: { mode: 'sha256', sha256: sha256(archive) },
          access: 'read-only',
        }),
      )
      expect(() => writeFileSync(join(path, 'new'), '')).toThrow(/EPERM|EROFS/)
    })
  })

  describe('of a disk', () => {
    test('arrives sparse, with its date and its origin', async () => {
      const disk = Buffer.concat([randomBytes(1 << 20), Buffer.alloc(8 << 20), randomBytes(4096)])
      await using server = await imageServer('d.raw', disk)
      server.file.modified = 'Wed, 21 Oct 2015 07:28:00 GMT'
      const { path } = await pullRaw(request(machines, server.url))
      expect(path).toBe(join(machines, 'd.raw'))
      expect(readFileSync(path).equals(disk)).toBe(true)
      const facts = statSync(path)
      expect(facts.blocks * 512).toBeLessThan(2 << 20)
      expect(facts.mtime.toUTCString()).toBe(server.file.modified)
      expect(getXattr(path, 'user.source_url')?.toString()).toBe(server.url)
      expect(getXattr(path, 'user.source_etag')?.toString()).toBe(server.file.etag)
    })

    test('brings its companions along', async () => {
      const disk = randomBytes(100_000)
      const sides = {
        'd.nspawn': '[Exec]\nBoot=no\n',
        'd.roothash': 'a'.repeat(64),
        'd.roothash.p7s': 'signature',
        'd.verity': randomBytes(3_000_000),
      }
      const list = Object.entries({ ...sides, 'd.raw': disk }).map(
        ([name, body]) => `${sha256(body)}  ${name}\n`,
      )
      const routes = Object.entries(sides).map(([name, body]) => [`/${name}`, body])
      await using server = await imageServer('d.raw', disk, {
        ...(Object.fromEntries(routes) as Record<string, string>),
        '/SHA256SUMS': list.join(''),
      })
      const image = await pullRaw(request(machines, server.url, { name: 'other' }))
      expect(image.companions).toEqual(['.nspawn', '.roothash', '.roothash.p7s', '.verity'])
      expect(namesIn(machines)).toEqual([
        'other.nspawn',
        'other.raw',
        'other.roothash',
        'other.roothash.p7s',
        'other.verity',
      ])
      expect(readFileSync(join(machines, 'other.verity')).equals(sides['d.verity'])).toBe(true)
    })
  })

  describe('with companions', () => {
    const settings = '[Exec]\nBoot=no\n'

    test('takes none that the checksums do not know, and says so', async () => {
      await using server = await imageServer('deb.tar.gz', archive, { '/deb.nspawn': settings })
      const asked = request(machines, server.url)
      expect((await pullTar(asked)).companions).toEqual([])
      expect(asked.heard.texts().join()).toContain('deb.nspawn is left out')
      expect(namesIn(machines)).toEqual(['deb'])
    })

    test('takes them unchecked when nothing is checked', async () => {
      await using server = await imageServer('deb.tar.gz', archive, { '/deb.nspawn': settings })
      await pullTar(request(machines, server.url, { verify: { mode: 'no' } }))
      expect(readFileSync(join(machines, 'deb.nspawn'), 'utf8')).toBe(settings)
    })

    test('is refused when one is not what the checksums say', async () => {
      await using server = await imageServer('deb.tar.gz', archive, {
        '/deb.nspawn': settings,
        '/SHA256SUMS': `${sha256(archive)}  deb.tar.gz\n${sha256('other')}  deb.nspawn\n`,
      })
      await expect(pullTar(request(machines, server.url))).rejects.toMatchObject({
        code: 'CHECKSUM_MISMATCH',
      })
      nothingLeft()
    })

    test.each([
      [
        'fails with 500',
        (_r: unknown, response: { writeHead(n: number): { end(): void } }) =>
          response.writeHead(500).end(),
      ],
      ['is larger than 1 MiB', 'x'.repeat(2 << 20)],
    ] as const)('goes on without one that %s, with a warning', async (_what, body) => {
      await using server = await imageServer('deb.tar.gz', archive, {
        '/deb.nspawn': body as string,
      })
      const asked = request(machines, server.url)
      await pullTar(asked)
      expect(asked.heard.texts().join()).toContain('going on without deb.nspawn')
      expect(namesIn(machines)).toEqual(['deb'])
    })

    test('fetches none where only its own checksum was given', async () => {
      await using server = await imageServer('deb.tar.gz', archive, { '/deb.nspawn': settings })
      await pullTar(
        request(machines, server.url, { verify: { mode: 'sha256', sha256: sha256(archive) } }),
      )
      expect(namesIn(machines)).toEqual(['deb'])
      expect(server.web.requests.map(({ url }) => url)).toEqual(['/deb.tar.gz'])
    })
  })

  describe('that is refused leaves nothing:', () => {
    test.each([
      ['there is no such file', 'nosuch.tar', {}, 'NOT_FOUND'],
      [
        'there is no checksum',
        'deb.tar.gz',
        {
          '/SHA256SUMS': (_q: unknown, r: { writeHead(n: number): { end(): void } }) =>
            r.writeHead(404).end(),
        },
        'CHECKSUM_NOT_FOUND',
      ],
      [
        'the checksum is another',
        'deb.tar.gz',
        { '/SHA256SUMS': `${sha256('x')}  deb.tar.gz\n` },
        'CHECKSUM_MISMATCH',
      ],
      [
        'the server redirects in circles',
        'loop.tar',
        {
          '/loop.tar': (_q: unknown, r: { writeHead(n: number, h: object): { end(): void } }) =>
            r.writeHead(302, { location: '/loop.tar' }).end(),
        },
        'REDIRECT_LOOP',
      ],
      [
        'the server redirects to a file',
        'file.tar',
        {
          '/file.tar': (_q: unknown, r: { writeHead(n: number, h: object): { end(): void } }) =>
            r.writeHead(302, { location: 'file:///etc/passwd' }).end(),
        },
        'BAD_REDIRECT',
      ],
    ] as const)('%s', async (_why, file, others, code) => {
      await using server = await imageServer('deb.tar.gz', archive, { ...others } as Record<
        string,
        string
      >)
      const url = server.url.replace('deb.tar.gz', file)
      await expect(pullTar(request(machines, url))).rejects.toMatchObject({ code })
      nothingLeft()
    })

    test.each([
      ['is cut off', () => archive.subarray(0, 700_000)],
      ['is no archive', () => randomBytes(300_000)],
      ['is empty', () => Buffer.alloc(0)],
      [
        'has a bit flipped',
        () => {
          const copy = Buffer.from(archive)
          copy[600_000]! ^= 4
          return copy
        },
      ],
    ])('the file %s, though its checksum is right', async (_what, content) => {
      await using server = await imageServer('deb.tar.gz', content())
      await expect(pullTar(request(machines, server.url))).rejects.toMatchObject({
        code: expect.stringMatching(/^(BAD_ARCHIVE|BAD_COMPRESSION|TRUNCATED_ARCHIVE)$/),
      })
      nothingLeft()
    })

    test('it is larger than asked for', async () => {
      await using server = await imageServer('d.raw', randomBytes(500_000))
      const asked = request(machines, server.url, { sizeMaxBytes: 100_000 })
      await expect(pullRaw(asked)).rejects.toMatchObject({
        code: expect.stringMatching(/TOO_LARGE/),
      })
      nothingLeft()
    })

    test('its signature is by somebody else', async () => {
      using alice = makeGpgSigner(scratch.path, 'alice')
      using mallory = makeGpgSigner(scratch.path, 'mallory')
      const list = `${sha256(archive)}  deb.tar.gz\n`
      let signature = mallory.detach(list)
      await using server = await imageServer('deb.tar.gz', archive, {
        '/SHA256SUMS.gpg': (_request, response) => void response.end(signature),
      })
      const asked = () =>
        request(machines, server.url, { verify: { mode: 'signature', keyring: alice.keyring } })
      await expect(pullTar(asked())).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' })
      nothingLeft()
      signature = alice.detach(list)
      expect(await pullTar(asked())).toMatchObject({
        verified: 'signature',
        signers: [expect.any(String)],
      })
    })

    test.skipIf(lacks('loop devices'))('the disk is full', async () => {
      using disk = loopFileSystem('ext4', machines)
      const root = join(disk.path, 'images')
      mkdirSync(root)
      await using server = await imageServer('big.tar.gz', packTree(tree, '-z'))
      // Less than a megabyte is left.
      const fill = join(disk.path, 'fill')
      expect(() => execFileSync('dd', ['if=/dev/zero', `of=${fill}`, 'bs=64K'], quiet)).toThrow(
        'dd',
      )
      truncateSync(fill, statSync(fill).size - 900_000)
      await expect(pullTar(request(root, server.url))).rejects.toMatchObject({ code: 'ENOSPC' })
      expect(namesIn(root)).toEqual([])
    })
  })

  describe('whose name is taken', () => {
    test('is refused before anything is asked for, and replaced with force', async () => {
      mkdirSync(join(machines, 'deb'))
      writeFileSync(join(machines, 'deb/old'), '')
      await using server = await imageServer('deb.tar.gz', archive)
      await expect(pullTar(request(machines, server.url))).rejects.toMatchObject({
        code: 'IMAGE_EXISTS',
      })
      expect(server.web.requests).toEqual([])
      await pullTar(request(machines, server.url, { existing: 'replace' }))
      expect(namesIn(machines)).toEqual(['deb'])
      expect(treeListing(join(machines, 'deb'))).toBe(treeListing(tree))
    })

    test('stays as it is when the new one is no good', async () => {
      mkdirSync(join(machines, 'deb'))
      writeFileSync(join(machines, 'deb/old'), '')
      await using server = await imageServer('deb.tar.gz', archive, {
        '/SHA256SUMS': `${sha256('x')}  deb.tar.gz\n`,
      })
      const asked = request(machines, server.url, { existing: 'replace' })
      await expect(pullTar(asked)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
      expect(namesIn(join(machines, 'deb'))).toEqual(['old'])
    })

    test.each(['a_b', 'a..b', '-x', '.hidden'])('%s is no name for a machine', async (name) => {
      await expect(
        pullTar(request(machines, 'http://127.0.0.1:1/x.tar', { name })),
      ).rejects.toMatchObject({ code: 'USAGE' })
    })
  })

  test('of which one is on its way is refused: by its name, and by its URL', async () => {
    let answer = () => {}
    const held = new Promise<void>((resolve) => (answer = resolve))
    await using server = await imageServer('deb.tar.gz', archive, {
      '/slow.tar.gz': (_request, response) => void held.then(() => response.end(archive)),
      '/SHA256SUMS': `${sha256(archive)}  slow.tar.gz\n${sha256(archive)}  deb.tar.gz\n`,
    })
    const slow = server.url.replace('deb', 'slow')
    const first = pullTar(request(machines, slow, { name: 'one' }))
    await expect(pullTar(request(machines, server.url, { name: 'one' }))).rejects.toMatchObject({
      code: 'EBUSY',
    })
    await expect(pullTar(request(machines, slow, { name: 'two' }))).rejects.toMatchObject({
      code: 'EBUSY',
      message: expect.stringContaining('under way already'),
    })
    answer()
    await first
    expect(namesIn(machines)).toEqual(['one'])
  })

  describe('that breaks off', () => {
    test('ten times ends with the right hash', async () => {
      const cuts = Array.from({ length: 10 }, () => 120_000)
      await using server = await imageServer('deb.tar.gz', archive, {}, { cuts })
      const { path } = await pullTar(request(machines, server.url))
      expect(server.file.asked).toHaveLength(11)
      expect(treeListing(path)).toBe(treeListing(tree))
    })

    const breaking = (cuts: readonly number[], how: object = {}) =>
      imageServer('deb.tar.gz', archive, {}, { cuts: [...cuts], ...how })

    test('for good goes on in the next run', async () => {
      await using server = await breaking([500_000, 10, 10, 10, 10])
      await expect(pullTar(request(machines, server.url))).rejects.toThrow('cannot fetch')
      expect(namesIn(machines)).toEqual([expect.stringMatching(/^\.#pull-.*\.part$/)])
      server.file.cuts.length = 0
      const image = await pullTar(request(machines, server.url))
      expect(image.resumedBytes).toBeGreaterThan(400_000)
      expect(treeListing(image.path)).toBe(treeListing(tree))
      expect(namesIn(machines)).toEqual(['deb'])
    })

    test('and is another file in the next run begins anew', async () => {
      await using server = await breaking([500_000, 10, 10, 10, 10])
      await expect(pullTar(request(machines, server.url))).rejects.toThrow('cannot fetch')
      server.file.cuts.length = 0
      server.file.content = packTree(tree, '-J')
      server.file.etag = '"new"'
      const image = await pullTar(request(machines, server.url))
      expect(image.resumedBytes).toBe(0)
      expect(treeListing(image.path)).toBe(treeListing(tree))
    })

    test('and whose kept part is damaged begins anew', async () => {
      await using server = await breaking([500_000, 10, 10, 10, 10])
      await expect(pullTar(request(machines, server.url))).rejects.toThrow('cannot fetch')
      server.file.cuts.length = 0
      const part = join(machines, namesIn(machines)[0]!)
      const bytes = readFileSync(part)
      bytes[200_000]! ^= 1
      writeFileSync(part, bytes)
      const asked = request(machines, server.url)
      expect(await pullTar(asked)).toMatchObject({ resumedBytes: 0 })
      expect(asked.heard.texts().join()).toContain('no good')
      expect(treeListing(join(machines, 'deb'))).toBe(treeListing(tree))
    })

    test.each([
      ['the list of checksums, which is refused', { '/SHA256SUMS': 403 }, 'kept'],
      [
        'a signature, which the server is too busy for',
        { '/SHA256SUMS.gpg': 500, '/SHA256SUMS.asc': 500 },
        'kept',
      ],
      ['a list, which is not there', { '/SHA256SUMS': 404 }, 'removed'],
    ] as const)(
      'for want of %s keeps what came of the file, unless that is a verdict',
      async (_what, statuses, fate) => {
        using alice = makeGpgSigner(mkdtempSync(join(scratch.path, 'keys-')), 'alice')
        const list = `${sha256(archive)}  deb.tar.gz\n`
        const files: Record<string, string | Buffer> = {
          '/SHA256SUMS': list,
          '/SHA256SUMS.gpg': alice.detach(list),
        }
        let refuses = true
        let partThere = () => {}
        const fetched = new Promise<void>((resolve) => (partThere = resolve))
        const hasPart = () => {
          const name = namesIn(machines).find((one) => one.endsWith('.part'))
          return name !== undefined && statSync(join(machines, name)).size > 500_000
        }
        const others = Object.fromEntries(
          Object.entries({ ...files, ...statuses }).map(([path, answer]) => [
            path,
            (_request: unknown, response: ServerResponse) => {
              if (!refuses || typeof answer !== 'number') {
                const content = files[path]
                return void (content === undefined
                  ? response.writeHead(404).end()
                  : response.end(content))
              }
              void fetched.then(() => response.writeHead(answer).end())
            },
          ]),
        )
        // The rest of the file never comes.
        const respond: Responder = (asked, response) => {
          if (!refuses) return server.file.respond(asked, response)
          response.writeHead(200, { etag: '"1"', 'content-length': archive.length })
          response.write(archive.subarray(0, 600_000))
        }
        await using server = await imageServer(
          'deb.tar.gz',
          archive,
          { ...others, '/deb.tar.gz': respond },
          { etag: '"1"' },
        )
        const verify = { mode: 'signature', keyring: alice.keyring } as const
        const first = pullTar(request(machines, server.url, { verify }))
        void vi.waitUntil(hasPart, { timeout: 30_000, interval: 10 }).then(partThere)
        await expect(first).rejects.toThrow(/cannot fetch|no checksum/)
        expect(hasPart()).toBe(fate === 'kept')
        if (fate === 'removed') return nothingLeft()
        refuses = false
        const image = await pullTar(request(machines, server.url, { verify }))
        expect(image.resumedBytes).toBeGreaterThan(500_000)
        expect(treeListing(image.path)).toBe(treeListing(tree))
      },
    )

    test('while it is changed on the server begins anew in the same run', async () => {
      await using server = await breaking([500_000])
      const fresh = packTree(tree, '-J')
      server.file.before = () => {
        if (server.file.asked.length !== 2) return
        server.file.content = fresh
        server.file.etag = '"new"'
      }
      const image = await pullTar(request(machines, server.url))
      expect(image.sha256).toBe(sha256(fresh))
      expect(treeListing(image.path)).toBe(treeListing(tree))
      expect(namesIn(machines)).toEqual(['deb'])
    })
  })

  describe('with a pristine copy', () => {
    const keeping = (url: string, more: object = {}) =>
      request(machines, url, { keepDownload: 'yes', ...more })

    test('is not fetched again while the server has the same', async () => {
      await using server = await imageServer('deb.tar.gz', archive)
      expect(await pullTar(keeping(server.url, { name: 'one' }))).toMatchObject({ from: 'network' })
      expect(await pullTar(keeping(server.url, { name: 'two' }))).toMatchObject({
        from: 'pristine copy',
        sha256: sha256(archive),
      })
      for (const name of ['one', 'two'])
        expect(treeListing(join(machines, name))).toBe(treeListing(tree))
      const kept = namesIn(machines).find(
        (name) => name.startsWith('.tar-') && !name.endsWith('.download'),
      )
      expect(() => writeFileSync(join(machines, kept!, 'x'), '')).toThrow(/EPERM|EROFS/)
      server.file.content = packTree(tree, '-J')
      server.file.etag = '"new"'
      expect(await pullTar(keeping(server.url, { name: 'three' }))).toMatchObject({
        from: 'network',
      })
    })

    test('of a disk image too, which stays sparse', async () => {
      const disk = Buffer.concat([randomBytes(4096), Buffer.alloc(8 << 20)])
      await using server = await imageServer('d.raw', disk)
      await pullRaw(keeping(server.url, { name: 'one' }))
      const image = await pullRaw(keeping(server.url, { name: 'two' }))
      expect(image.from).toBe('pristine copy')
      expect(readFileSync(image.path).equals(disk)).toBe(true)
      expect(lstatSync(image.path).blocks * 512).toBeLessThan(1 << 20)
    })

    test('alone is made where no name is wanted', async () => {
      await using server = await imageServer('deb.tar.gz', archive)
      const image = await pullTar(keeping(server.url, { name: '-' }))
      expect(image.name).toBeUndefined()
      expect(namesIn(machines).every((name) => name.startsWith('.tar-'))).toBe(true)
    })

    test('that was taken unchecked is checked when that is asked for', async () => {
      let list = `${sha256('x')}  deb.tar.gz\n`
      await using server = await imageServer('deb.tar.gz', archive, {
        '/SHA256SUMS': (_request, response) => void response.end(list),
      })
      await pullTar(keeping(server.url, { name: 'one', verify: { mode: 'no' } }))
      await expect(pullTar(keeping(server.url, { name: 'two' }))).rejects.toMatchObject({
        code: 'CHECKSUM_MISMATCH',
      })
      const verify = { mode: 'sha256', sha256: 'b'.repeat(64) }
      await expect(pullTar(keeping(server.url, { name: 'two', verify }))).rejects.toMatchObject({
        code: 'CHECKSUM_MISMATCH',
      })
      expect(existsSync(join(machines, 'two'))).toBe(false)
      list = `${sha256(archive)}  deb.tar.gz\n`
      expect(await pullTar(keeping(server.url, { name: 'two' }))).toMatchObject({
        verified: 'checksum',
      })
    })

    test('is used too where the server says "not modified" without a tag', async () => {
      await using server = await imageServer('deb.tar.gz', archive)
      await pullTar(keeping(server.url, { name: 'one' }))
      server.file.quiet304 = true
      expect(await pullTar(keeping(server.url, { name: 'two' }))).toMatchObject({
        from: 'pristine copy',
      })
    })

    test('is not kept where the server names no version, and that is said', async () => {
      await using server = await imageServer('deb.tar.gz', archive, {}, { etag: undefined })
      const asked = keeping(server.url)
      await pullTar(asked)
      expect(asked.heard.texts().join()).toContain('no pristine copy is kept')
      expect(namesIn(machines)).toEqual(['deb'])
    })

    test('with a long URL is found again', async () => {
      await using server = await imageServer(`${'a'.repeat(200)}.tar.gz`, archive)
      const { url } = server
      await pullTar(keeping(url, { name: 'one' }))
      expect(await pullTar(keeping(url, { name: 'two' }))).toMatchObject({ from: 'pristine copy' })
    })

    test('is that of one query, which no name, record or message shows', async () => {
      await using server = await imageServer('deb.tar.gz', archive)
      const from = async (query: string, name: string) => {
        const asked = keeping(`${server.url}?token=${query}`, { name })
        const image = await pullTar(asked)
        expect(JSON.stringify([image, asked.heard.events])).not.toContain('token')
        return image.from
      }
      expect(await from('one', 'one')).toBe('network')
      expect(await from('two', 'two')).toBe('network')
      expect(await from('one', 'three')).toBe('pristine copy')
      expect(namesIn(machines).join()).not.toContain('token')
    })

    test.skipIf(lacks('btrfs', 'loop devices'))(
      'is kept by itself on btrfs, where it takes no space',
      async () => {
        using disk = loopFileSystem('btrfs', machines)
        await using server = await imageServer('deb.tar.gz', archive)
        await pullTar(request(disk.path, server.url, { name: 'one' }))
        const image = await pullTar(request(disk.path, server.url, { name: 'two' }))
        expect(image.from).toBe('pristine copy')
        expect(lstatSync(image.path).ino).toBe(256)
        expect(treeListing(image.path)).toBe(treeListing(tree))
        writeFileSync(join(image.path, 'can be written'), '')
        const copy = readdirSync(disk.path).find((name) => /^\.tar-.*(?<!\.download)$/.test(name))
        const path = join(disk.path, copy!)
        setSubvolumeReadOnly(path, false)
        destroySubvolume(path)
        snapshotSubvolume(image.path, path)
        const again = await pullTar(request(disk.path, server.url, { name: 'three' }))
        expect(again.from).toBe('network')
      },
    )

    test.skipIf(lacks('btrfs', 'loop devices', 'program:filefrag'))(
      'of a disk shares its blocks with the image on btrfs',
      async () => {
        using disk = loopFileSystem('btrfs', machines)
        await using server = await imageServer('disk.raw', noise(1 << 20))
        const image = await pullRaw(request(disk.path, server.url, { keepDownload: 'yes' }))
        expect(sharesAllBlocks(image.path)).toBe(true)
      },
    )
  })
})
