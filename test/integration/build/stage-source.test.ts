import { execa } from 'execa'
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { SourceRequest } from '../../../src/build/debian/source-argument.ts'
import { stageSource } from '../../../src/build/debian/stage-source.ts'
import type { StageRequest } from '../../../src/build/debian/staged-source.ts'
import type { LogEvent } from '../../../src/log.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner, type Signer } from '../../fixtures/signing.ts'
import { makeDsc, sourceArchive } from '../../fixtures/source-archive.ts'
import { makeSourceDirectory, makeSourcePackage } from '../../fixtures/source-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder } from '../../fixtures/web-server.ts'

const place = 'build/reproducible-path'

describe.skipIf(lacks('root', 'program:dpkg-source', 'program:gpgv'))('staging a source', () => {
  let alice: Signer
  let bob: Signer
  beforeAll(async () => {
    const keys = join((await temporaryDirectory()).path)
    alice = await makeSigner(keys, 'alice')
    bob = await makeSigner(keys, 'bob')
    return () => execa('rm', ['-rf', keys])
  })

  async function stage(
    directory: string,
    source: SourceRequest,
    change: Partial<StageRequest> = {},
  ) {
    const layer = join(directory, 'layer')
    await mkdir(layer)
    return stageSource({
      source,
      tree: directory,
      layer,
      policy: { keyrings: [], required: false },
      ...change,
    })
  }

  const staged = (directory: string) => readdir(join(directory, 'layer', place))

  describe('from a .dsc', () => {
    test('brings every file in, owned by the build user and readable', async () => {
      await using work = await temporaryDirectory()
      const path = await makeSourcePackage(work.path, { version: '1.0-2', format: '3.0 (quilt)' })
      const source = await stage(work.path, { kind: 'dsc-file', path })
      expect(source.form).toEqual({ kind: 'package', dsc: 'tiny_1.0-2.dsc' })
      expect(await staged(work.path)).toEqual([
        'tiny_1.0-2.debian.tar.xz',
        'tiny_1.0-2.dsc',
        'tiny_1.0.orig.tar.gz',
      ])
      const facts = await stat(join(work.path, 'layer', place, 'tiny_1.0.orig.tar.gz'))
      expect([facts.uid, facts.gid, facts.mode & 0o777]).toEqual([2000, 2000, 0o644])
      expect((await stat(join(work.path, 'layer', place))).uid).toBe(2000)
      expect((await stat(join(work.path, 'layer/build'))).uid).toBe(0)
    })

    test('refuses a file that was changed after the .dsc was made, and leaves no half', async () => {
      await using work = await temporaryDirectory()
      const path = await makeSourcePackage(work.path)
      await writeFile(join(work.path, 'tiny_1.0.tar.xz'), 'something else')
      await expect(stage(work.path, { kind: 'dsc-file', path })).rejects.toMatchObject({
        code: 'SOURCE_CHECKSUM',
      })
      expect(await staged(work.path)).toEqual(['tiny_1.0.dsc'])
    })

    test('names the file that is missing', async () => {
      await using work = await temporaryDirectory()
      const path = await makeSourcePackage(work.path)
      await execa('rm', [join(work.path, 'tiny_1.0.tar.xz')])
      const error: unknown = await stage(work.path, { kind: 'dsc-file', path }).catch(
        (thrown: unknown) => thrown,
      )
      expect(error).toMatchObject({ code: 'SOURCE_FETCH' })
      expect(JSON.stringify(error)).toContain('tiny_1.0.tar.xz')
    })
  })

  describe('from a URL', () => {
    const files = { 'tiny_1.0.tar.xz': 'content' }
    const dsc = makeDsc('tiny', '1.0', '3.0 (native)', files)
    const from = async (routes: Record<string, string | Responder>) => {
      const work = await temporaryDirectory()
      const server = await serve(routes)
      const url = new URL(`${server.origin}/pool/tiny_1.0.dsc`)
      const staging = () => stage(work.path, { kind: 'dsc-url', url })
      const release = async () => {
        await server[Symbol.asyncDispose]()
        await work[Symbol.asyncDispose]()
      }
      return { path: work.path, origin: server.origin, staging, [Symbol.asyncDispose]: release }
    }

    test('fetches the files from beside it', async () => {
      await using web = await from({
        '/pool/tiny_1.0.dsc': dsc,
        '/pool/tiny_1.0.tar.xz': 'content',
      })
      const source = await web.staging()
      expect(source.origin).toBe(`${web.origin}/pool/tiny_1.0.dsc`)
      expect(await readFile(join(web.path, 'layer', place, 'tiny_1.0.tar.xz'), 'utf8')).toBe(
        'content',
      )
    })

    test.each<[string, Record<string, string | Responder>, string]>([
      ['a missing .dsc', {}, 'SOURCE_FETCH'],
      ['a missing tarball', { '/pool/tiny_1.0.dsc': dsc }, 'SOURCE_FETCH'],
      [
        'another tarball',
        { '/pool/tiny_1.0.dsc': dsc, '/pool/tiny_1.0.tar.xz': 'CONTENT' },
        'SOURCE_CHECKSUM',
      ],
      [
        'a longer tarball',
        { '/pool/tiny_1.0.dsc': dsc, '/pool/tiny_1.0.tar.xz': 'content and more' },
        'SOURCE_CHECKSUM',
      ],
      [
        'a page instead of a .dsc',
        { '/pool/tiny_1.0.dsc': '<html>not here</html>\n' },
        'SOURCE_INVALID',
      ],
      [
        'a .dsc that names a path',
        { '/pool/tiny_1.0.dsc': dsc.replace('tiny_1.0.tar', '../tiny.tar') },
        'SOURCE_INVALID',
      ],
      [
        'a redirect loop',
        {
          '/pool/tiny_1.0.dsc': (_q, r) =>
            void r.writeHead(302, { location: '/pool/tiny_1.0.dsc' }).end(),
        },
        'SOURCE_FETCH',
      ],
    ])('%s is the fault of the source', async (_what, routes, code) => {
      await using web = await from(routes)
      await expect(web.staging()).rejects.toMatchObject({ code })
      expect(await readdir(web.path)).toEqual(['layer'])
    })
  })

  describe('with a signature', () => {
    const setUp = async (sign: (text: string) => Promise<string> | string) => {
      const work = await temporaryDirectory()
      const path = await makeSourcePackage(work.path)
      await writeFile(path, await sign(await readFile(path, 'utf8')))
      const source = { kind: 'dsc-file', path } as const
      return { path: work.path, source, [Symbol.asyncDispose]: () => work[Symbol.asyncDispose]() }
    }

    test.each([
      ['a binary keyring', () => alice.keyring],
      ['an armoured keyring', () => alice.armouredKeyring],
    ])('of the named %s builds, and says who signed', async (_what, keyring) => {
      await using work = await setUp((text) => alice.sign(text))
      const { signature } = await stage(work.path, work.source, {
        policy: { keyrings: [keyring()], required: true },
      })
      expect(signature).toMatchObject({
        state: 'valid',
        signers: [expect.stringContaining(alice.keyId)],
      })
    })

    test('by another key than the named keyring holds there is no build', async () => {
      await using work = await setUp((text) => alice.sign(text))
      const staging = stage(work.path, work.source, {
        policy: { keyrings: [bob.keyring], required: false },
      })
      await expect(staging).rejects.toMatchObject({ code: 'SOURCE_SIGNATURE' })
    })

    test('on a text that was changed since there is no build, keyring or not', async () => {
      await using work = await setUp(async (text) =>
        (await alice.sign(text)).replace('Tiny <', 'Evil <'),
      )
      const staging = stage(work.path, work.source, {
        policy: { keyrings: [alice.keyring], required: false },
      })
      await expect(staging).rejects.toMatchObject({
        code: 'SOURCE_SIGNATURE',
        message: expect.stringContaining('bad signature'),
      })
    })

    test('missing, a notice says that only checksums vouch', async () => {
      await using work = await setUp((text) => text)
      const events: LogEvent[] = []
      const { signature } = await stage(work.path, work.source, {
        log: (event) => void events.push(event),
      })
      expect(signature).toEqual({ state: 'none', why: 'is not signed' })
      expect(events).toContainEqual({
        kind: 'notice',
        text: expect.stringContaining('only its checksums vouch'),
      })
    })

    test('missing but required there is no build', async () => {
      await using work = await setUp((text) => text)
      const staging = stage(work.path, work.source, { policy: { keyrings: [], required: true } })
      await expect(staging).rejects.toMatchObject({ code: 'SOURCE_SIGNATURE' })
    })
  })

  test('a name is looked up where the tree gets its packages, under the keys the tree trusts', async () => {
    await using work = await temporaryDirectory()
    const files = { 'tiny_1.0.tar.xz': 'content' }
    const all = { 'tiny_1.0.dsc': makeDsc('tiny', '1.0', '3.0 (native)', files), ...files }
    const routes = await sourceArchive([{ name: 'tiny', version: '1.0', files: all }], alice, {
      suite: 'trixie',
    })
    await using server = await serve(routes)
    await mkdir(join(work.path, 'etc/apt/sources.list.d'), { recursive: true })
    await mkdir(join(work.path, 'usr/share/keyrings'), { recursive: true })
    await execa('cp', [alice.keyring, join(work.path, 'usr/share/keyrings/real.gpg')])
    await symlink('/usr/share/keyrings/real.gpg', join(work.path, 'usr/share/keyrings/linked.gpg'))
    const stanza = `Types: deb\nURIs: ${server.origin}/debian\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/linked.gpg\n`
    await writeFile(join(work.path, 'etc/apt/sources.list.d/debian.sources'), stanza)
    const source = await stage(work.path, { kind: 'name', name: 'tiny', version: undefined })
    expect(source.signature).toEqual({
      state: 'index',
      signers: [expect.stringContaining(alice.keyId)],
    })
    expect(source.files.map(({ from }) => basename(from))).toEqual([
      'tiny_1.0.dsc',
      'tiny_1.0.tar.xz',
    ])
  })

  describe('from a directory', () => {
    test('copies it without version control, and links as links', async () => {
      await using work = await temporaryDirectory()
      const path = join(work.path, 'tiny')
      await makeSourceDirectory(path)
      await mkdir(join(path, '.hg'))
      await symlink('/etc/passwd', join(path, 'link'))
      const source = await stage(work.path, { kind: 'directory', path })
      expect(source.form).toEqual({ kind: 'tree', name: 'tiny-1.0', dsc: 'tiny_1.0.dsc' })
      const { stdout } = await execa('find', ['.', '-printf', '%y %U %m %P\n'], {
        cwd: join(work.path, 'layer/build/source/tiny-1.0'),
      })
      expect(stdout.split('\n').toSorted()).toEqual([
        'd 2000 755 ',
        'd 2000 755 debian',
        'd 2000 755 debian/source',
        'f 2000 644 README',
        'f 2000 644 debian/changelog',
        'f 2000 644 debian/control',
        'f 2000 644 debian/source/format',
        'f 2000 755 debian/rules',
        'l 2000 777 link',
      ])
    })

    test('takes the upstream tarball from beside it, and builds as it is where there is none', async () => {
      await using work = await temporaryDirectory()
      const fixture = { version: '1.0-2', format: '3.0 (quilt)' } as const
      await makeSourcePackage(work.path, fixture)
      const source = await stage(work.path, {
        kind: 'directory',
        path: join(work.path, 'tiny-1.0'),
      })
      expect(source.form.kind).toBe('tree')
      expect(await staged(work.path)).toEqual(['tiny_1.0.orig.tar.gz'])
      await using bare = await temporaryDirectory()
      await makeSourceDirectory(join(bare.path, 'tiny'), fixture)
      expect(
        (await stage(bare.path, { kind: 'directory', path: join(bare.path, 'tiny') })).form,
      ).toEqual({ kind: 'unpacked', name: 'tiny-1.0' })
    })

    test('without debian/ it is no source', async () => {
      await using work = await temporaryDirectory()
      const staging = stage(work.path, { kind: 'directory', path: work.path })
      await expect(staging).rejects.toMatchObject({
        code: 'SOURCE_INVALID',
        message: expect.stringContaining('debian/control'),
      })
    })
  })
})
