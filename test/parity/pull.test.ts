/** The same downloads by systemd-pull and by us: the same images, the same refusals, and the differences that are meant. */
import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import { lacks } from '../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary.ts'
import type { Responder } from '../fixtures/web-server.ts'
import { makeOddTree, treeListing } from '../integration/images/tree-listing.ts'
import {
  imageServer,
  makeTree,
  namesIn,
  packTree,
  sha256,
} from '../integration/transfer/image-server.ts'

/** Comes with systemd-nspawn. */
const theirs = '/lib/systemd/systemd-pull'

describe.skipIf(lacks('root', 'program:systemd-nspawn', 'program:xz'))('pulled by both', () => {
  let scratch: TemporaryDirectory
  let tree: string
  let archive: Buffer
  let roots: readonly [string, string]
  beforeAll(async () => {
    scratch = await temporaryDirectory()
    tree = makeTree(scratch.path)
    makeOddTree(tree)
    archive = packTree(tree, '-J')
  })
  afterAll(() => scratch[Symbol.asyncDispose]())
  beforeEach(() => {
    const root = () => mkdtempSync(join(scratch.path, 'root-'))
    roots = [root(), root()]
  })
  afterEach(() => {
    for (const root of roots) removeRoot(root)
  })

  const removeRoot = (root: string): void => {
    execFileSync('sh', ['-c', 'chattr -i "$0"/.[!.]* "$0"/* 2>/dev/null || :', root])
    rmSync(root, { recursive: true, force: true })
  }

  /** Whether each of them says that it went well: systemd-pull first. */
  async function both(
    kind: 'tar' | 'raw',
    url: string,
    options: readonly string[] = ['--verify=checksum'],
  ): Promise<[boolean, boolean]> {
    const [program, ...args] = tsnspawnBuild(`pull-${kind}`)
    const env = { TSNSPAWN_RUNTIME_DIR: join(scratch.path, 'run') }
    const rest = (root: string) => [...options, '--sync=no', `--image-root=${root}`, url, 'img']
    // Theirs hangs now and then, whatever the server does: then all is put back, and it gets another try.
    const end = { reject: false, timeout: 8000, killSignal: 'SIGKILL' } as const
    const before = mkdtempSync(join(scratch.path, 'before-'))
    execFileSync('cp', ['-a', `${roots[0]}/.`, before])
    let first = await execa(theirs, [kind, ...rest(roots[0])], end)
    for (let hung = 1; first.timedOut && hung < 4; hung++) {
      removeRoot(roots[0])
      execFileSync('cp', ['-a', before, roots[0]])
      first = await execa(theirs, [kind, ...rest(roots[0])], end)
    }
    const second = await execa(program, [...args, ...rest(roots[1])], { reject: false, env })
    return [first.exitCode === 0, second.exitCode === 0]
  }

  /** Its copy of the pristine tree loses mode and date of the top, and attributes for root alone; ours loses nothing. */
  const copied = (image: string): string =>
    treeListing(image)
      .replace(/^\|d\|.*$/m, '')
      .replace(/^# file: usr\ntrusted.*\n\n/m, '')

  const visible = (root: string) => namesIn(root).filter((name) => !name.startsWith('.'))

  test('a tree is the same, entry by entry', async () => {
    await using server = await imageServer('img.tar.xz', archive)
    expect(await both('tar', server.url)).toEqual([true, true])
    expect(copied(join(roots[1], 'img'))).toBe(copied(join(roots[0], 'img')))
  })

  test('a tree one directory deeper is lifted by both', async () => {
    const packed = execFileSync(
      'tar',
      [
        '--format=posix',
        '--xattrs',
        '-C',
        join(tree, '..'),
        '-cz',
        tree.split('/').at(-1) as string,
      ],
      { maxBuffer: 1 << 28 },
    )
    await using server = await imageServer('img.tar.gz', packed)
    expect(await both('tar', server.url)).toEqual([true, true])
    expect(copied(join(roots[1], 'img'))).toBe(copied(join(roots[0], 'img')))
  })

  test('a disk image is the same, with its date and companions', async () => {
    const disk = Buffer.concat([randomBytes(70_000), Buffer.alloc(1 << 20), randomBytes(4096)])
    const sides = {
      'img.nspawn': '[Exec]\n',
      'img.roothash': 'ab'.repeat(32),
      'img.verity': 'v'.repeat(8192),
    }
    const files = Object.entries(sides)
    const list = [...files, ['img.raw.xz', '' as string] as const]
    const packed = execFileSync('xz', ['-c'], { input: disk })
    const sums = list.map(
      ([name, body]) => `${sha256(name === 'img.raw.xz' ? packed : body)}  ${name}\n`,
    )
    await using server = await imageServer('img.raw.xz', packed, {
      ...(Object.fromEntries(files.map(([name, body]) => [`/${name}`, body])) as Record<
        string,
        string
      >),
      '/SHA256SUMS': sums.join(''),
    })
    server.file.modified = 'Wed, 21 Oct 2015 07:28:00 GMT'
    expect(await both('raw', server.url)).toEqual([true, true])
    expect(visible(roots[1])).toEqual(visible(roots[0]))
    for (const name of visible(roots[0])) {
      expect(readFileSync(join(roots[1], name)).equals(readFileSync(join(roots[0], name)))).toBe(
        true,
      )
    }
    const date = (root: string) => statSync(join(root, 'img.raw')).mtimeMs
    expect(date(roots[1])).toBe(date(roots[0]))
  })

  const status =
    (code: number, headers: Record<string, string> = {}): Responder =>
    (_request, response) =>
      void response.writeHead(code, headers).end()
  const sums = (content: Buffer | string, name = 'img.tar.xz') => `${sha256(content)}  ${name}\n`

  test.each([
    [
      'a chain of redirects',
      {
        '/img.tar.xz': status(302, { location: 'b' }),
        '/b': status(307, { location: '/c' }),
        '/c': 'archive',
      },
      [true, true],
    ],
    ['a companion that fails with 500', { '/img.nspawn': status(500) }, [true, true]],
    ['another checksum', { '/SHA256SUMS': sums('other') }, [false, false]],
    ['a checksum of a longer name', { '/SHA256SUMS': 'longer' }, [false, false]],
    ['no checksum', { '/SHA256SUMS': status(404) }, [false, false]],
    ['no file', { '/img.tar.xz': status(404) }, [false, false]],
    [
      'a redirect to a file of this host',
      { '/img.tar.xz': status(302, { location: 'file:///etc/hostname' }) },
      [false, false],
    ],
    [
      'a redirect in circles',
      { '/img.tar.xz': status(302, { location: '/img.tar.xz' }) },
      [false, false],
    ],
  ] as const)('%s has the same end', async (_what, routes, expected) => {
    const real: Record<string, string | Buffer | Responder> = {}
    for (const [path, route] of Object.entries(routes)) {
      real[path] =
        route === 'archive'
          ? archive
          : route === 'longer'
            ? sums(archive, 'ximg.tar.xz')
            : (route as Responder)
    }
    await using server = await imageServer('img.tar.xz', archive, real)
    expect(await both('tar', server.url)).toEqual(expected)
    if (!expected[1]) expect(roots.map(visible)).toEqual([[], []])
  })

  test.each([
    ['that is cut off', () => archive.subarray(0, 500_000)],
    ['that is none', () => randomBytes(50_000)],
  ])('an archive %s is refused by both', async (_what, content) => {
    await using server = await imageServer('img.tar.xz', content())
    expect(await both('tar', server.url)).toEqual([false, false])
    expect(roots.map(visible)).toEqual([[], []])
  })

  test('an unsigned list is refused by both where a signature is wanted, which is the default', async () => {
    await using server = await imageServer('img.tar.xz', archive)
    expect(await both('tar', server.url, [])).toEqual([false, false])
    expect(await both('tar', server.url, ['--verify=signature'])).toEqual([false, false])
  })

  test('a hash of the user is obeyed by both', async () => {
    await using server = await imageServer('img.tar.xz', archive)
    expect(await both('tar', server.url, [`--verify=${sha256('x')}`])).toEqual([false, false])
    expect(await both('tar', server.url, [`--verify=${sha256(archive)}`])).toEqual([true, true])
  })

  test('a name that is taken is refused by both, and replaced by both with force', async () => {
    await using server = await imageServer('img.tar.xz', archive)
    for (const root of roots) {
      mkdirSync(join(root, 'img'))
      writeFileSync(join(root, 'img/old'), '')
    }
    expect(await both('tar', server.url)).toEqual([false, false])
    expect(roots.map((root) => namesIn(join(root, 'img')))).toEqual([['old'], ['old']])
    expect(await both('tar', server.url, ['--verify=checksum', '--force'])).toEqual([true, true])
    expect(copied(join(roots[1], 'img'))).toBe(copied(join(roots[0], 'img')))
  })

  describe('on purpose otherwise:', () => {
    test.each([
      ['large digits', (sum: string) => `${sum.toUpperCase()}  img.tar.xz\n`],
      ['a single blank', (sum: string) => `${sum} img.tar.xz\n`],
      ["BSD's form", (sum: string) => `SHA256 (img.tar.xz) = ${sum}\n`],
      ['no newline at the end', (sum: string) => `${sum}  img.tar.xz`],
    ])('a list with %s is read by us', async (_what, list) => {
      await using server = await imageServer('img.tar.xz', archive, {
        '/SHA256SUMS': list(sha256(archive)),
      })
      expect(await both('tar', server.url)).toEqual([false, true])
    })

    test('settings without a checksum are left out by us, and end it for systemd-pull', async () => {
      await using server = await imageServer('img.tar.xz', archive, { '/img.nspawn': '[Exec]\n' })
      expect(await both('tar', server.url)).toEqual([false, true])
      expect(visible(roots[1])).toEqual(['img'])
    })

    test('a transfer that breaks off goes on with us', async () => {
      await using server = await imageServer('img.tar.xz', archive)
      server.file.cuts.push(300_000)
      expect((await both('tar', server.url))[0]).toBe(false)
      server.file.cuts.push(300_000)
      rmSync(join(roots[1], 'img'), { recursive: true })
      const [program, ...args] = tsnspawnBuild('pull-tar', '--verify=checksum')
      const run = await execa(program, [...args, `--image-root=${roots[1]}`, server.url, 'img'])
      expect(run.exitCode).toBe(0)
    })
  })
})
