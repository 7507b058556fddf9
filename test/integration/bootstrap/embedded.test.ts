/** The embedded bootstrapper on small archives that the tests make and sign themselves. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import type { DebSpec } from '../../fixtures/apt-archive.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner } from '../../fixtures/signing.ts'
import { sha256 } from '../../fixtures/source-archive.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import {
  tinyArchives,
  type Made,
  type Published,
  type TinyArchives,
} from '../../fixtures/tiny-archives.ts'
import type { Responder } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:dpkg-deb')

let tiny: TinyArchives

beforeAll(async () => {
  if (!missing) tiny = await tinyArchives()
})

afterAll(async () => {
  await tiny?.[Symbol.asyncDispose]()
})

const installed = (tree: string) =>
  readFileSync(join(tree, 'var/lib/dpkg/status'), 'utf8')
    .split('\n\n')
    .map((text) => [/^Package: (.*)/.exec(text)?.[1], /^Status: install ok (.*)/m.exec(text)?.[1]])
    .filter(([name]) => name !== undefined)
    .map((words) => words.join(' '))

describe.skipIf(missing)('the embedded bootstrapper', () => {
  test('installs packages with all that they need, as dpkg does, and leaves nothing else', async () => {
    await using dir = await temporaryDirectory()
    const before = await leftOvers({ directories: [dir.path] })
    const tree = await tiny.create(
      dir.path,
      [
        {
          name: 'wanted',
          fields: { Depends: 'virtual (>= 2), nowhere | chosen', 'Pre-Depends': 'early' },
          files: { 'etc/wanted.conf': 'a=1\n' },
          conffiles: ['/etc/wanted.conf'],
          scripts: {
            preinst: ['test -f /etc/early-is-configured'],
            postinst: [
              'test "$(echo /sys/class/net/*)" = /sys/class/net/lo',
              'case "$DEBIAN_FRONTEND" in noninteractive) ;; *) exit 7 ;; esac',
              'status=0; /usr/sbin/policy-rc.d || status=$?; test $status = 101',
              'test "$(cat /etc/chosen)" = chosen',
            ],
          },
          compression: 'gzip',
        },
        {
          name: 'early',
          scripts: { postinst: [': > /etc/early-is-configured'] },
          compression: 'zstd',
        },
        { name: 'old-provider', fields: { Provides: 'virtual (= 1.0), other' } },
        { name: 'provider', fields: { Provides: 'virtual (= 2.0)' }, compression: 'none' },
        { name: 'chosen', version: '1:2.0', files: { 'etc/chosen': 'chosen' } },
        { name: 'standard', fields: { Priority: 'required' } },
        { name: 'nice', fields: { Priority: 'optional' } },
      ],
      { include: ['wanted'] },
    )
    expect(installed(tree.path)).toEqual(
      ['base-files', 'chosen', 'early', 'provider', 'standard', 'wanted'].map(
        (name) => `${name} installed`,
      ),
    )
    expect(tree.packages).toBe(6)
    const status = readFileSync(join(tree.path, 'var/lib/dpkg/status'), 'utf8')
    expect(status).toMatch(/^Conffiles:\n \/etc\/wanted.conf [0-9a-f]{32}$/m)
    expect(readFileSync(join(tree.path, 'var/lib/apt/extended_states'), 'utf8')).toBe(
      ['chosen', 'early', 'provider']
        .map((name) => `Package: ${name}\nArchitecture: ${tiny.architecture}\nAuto-Installed: 1\n`)
        .join('\n') + '\n',
    )
    expect(existsSync(join(tree.path, 'usr/sbin/policy-rc.d'))).toBe(false)
    expect(statSync(join(tree.path, 'usr/bin/dpkg')).mode & 0o7777).toBe(0o755)
    expect(readdirSync(dir.path)).toEqual(['tree'])
    const { stdout } = await execa('chroot', [tree.path, 'dpkg', '--audit'])
    expect(stdout).toBe('')
    expect(await mine(before, dir.path)).toEqual([])
  })

  test('needs no program of the host', { timeout: 60_000 }, async () => {
    await using dir = await temporaryDirectory()
    await using server = await tiny.publish([{ name: 'extra' }])
    const argv = tsnspawnBuild(
      ...['--machines-dir', dir.path, '--state-dir', join(tiny.path, 'state')],
      ...['create', 'debian', 'tree', '--no-updates', '--include', 'extra'],
      ...['--mirror', `${server.origin}/debian`, '--keyring', tiny.signer.keyring],
    )
    const { exitCode, stderr } = await execa(process.execPath, argv, {
      reject: false,
      extendEnv: false,
      env: { PATH: '/nonexistent' },
    })
    expect(exitCode, stderr).toBe(0)
    expect(installed(join(dir.path, 'tree'))).toEqual(['base-files installed', 'extra installed'])
  })

  test('takes indexes by their hashes where the archive has them so', async () => {
    await using dir = await temporaryDirectory()
    const tree = await tiny.create(dir.path, [], {
      archive: { release: ['Acquire-By-Hash: yes'] },
      routes(routes) {
        const plain = `/debian/dists/trixie/main/binary-${tiny.architecture}/Packages.gz`
        const index = routes[plain] as Buffer
        routes[plain.replace('Packages.gz', `by-hash/SHA256/${sha256(index)}`)] = index
        // The mirror is being updated.
        routes[plain] = 'something newer'
      },
    })
    expect(installed(tree.path)).toEqual(['base-files installed'])
  })

  test('fetches what it has fetched before from its own cache, unless it was damaged there', async () => {
    await using dir = await temporaryDirectory()
    const state = join(dir.path, 'state')
    await using server = await tiny.publish([{ name: 'extra', files: { 'etc/extra': 'x' } }])
    const fetched = async (name: string) => {
      const before = server.requests.length
      await tiny.make(dir.path, server, { name, state, include: ['extra'] })
      const urls = server.requests.slice(before).map(({ url }) => url ?? '')
      return urls.filter((url) => url.endsWith('.deb')).map((url) => basename(url))
    }
    const all = [`base-files_1.0_${tiny.architecture}.deb`, 'extra_1.0_all.deb']
    expect((await fetched('one')).toSorted()).toEqual(all)
    expect(await fetched('two')).toEqual([])
    const [pool] = readdirSync(join(state, 'cache/debian'))
    const kept = join(state, 'cache/debian', pool!, 'extra_1.0_all.deb')
    const content = readFileSync(kept)
    content[content.length - 1]! ^= 1
    writeFileSync(kept, content)
    expect(await fetched('three')).toEqual(['extra_1.0_all.deb'])
    expect(readFileSync(join(dir.path, 'three/etc/extra'), 'utf8')).toBe('x')
  })
})

describe.skipIf(missing)(
  'the embedded bootstrapper says what is wrong, and leaves nothing:',
  () => {
    const fails = async (
      specs: readonly DebSpec[],
      attempt: Published & Made,
      expected: { readonly code: string; readonly said: RegExp; readonly hint?: RegExp },
    ): Promise<void> => {
      await using dir = await temporaryDirectory()
      const error: unknown = await tiny
        .create(dir.path, specs, attempt)
        .catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: expected.code })
      expect(describeError(error)).toMatch(expected.said)
      if (expected.hint !== undefined) expect((error as NspawnError).hint).toMatch(expected.hint)
      expect(readdirSync(dir.path)).toEqual([])
    }

    test('an index that a stranger has signed', () =>
      fails(
        [],
        { signedBy: tiny.stranger },
        {
          code: 'BOOTSTRAP_SIGNATURE',
          said: new RegExp(`signed by unknown keys .*${tiny.stranger.keyId}`),
          hint: /--keyring/,
        },
      ))

    test('an index that Debian has not signed, by the keyring that comes along, where the host has none', async () => {
      await using dir = await temporaryDirectory()
      await using server = await tiny.publish([])
      const mirror = `${server.origin}/debian`
      const request = { recipe: 'debian', name: 'tree', updates: 'none', mirror } as const
      const plan = await planCreate(request, dir.path)
      const notices: string[] = []
      const run = createTree(
        {
          ...plan,
          archive: { ...plan.archive, keyring: '/nonexistent/debian-archive-keyring.gpg' },
        },
        {
          machinesDirectory: dir.path,
          stateDirectory: join(tiny.path, 'state'),
          log: (event) => void (event.kind === 'notice' && notices.push(event.text)),
        },
      )
      await expect(run).rejects.toMatchObject({
        code: 'BOOTSTRAP_SIGNATURE',
        cause: { message: expect.stringContaining(tiny.signer.keyId) as string },
      })
      expect(notices).toContainEqual(
        expect.stringContaining('the keyring that comes with this program'),
      )
    })

    test('an index whose key has expired, with gpgv and without', async () => {
      const old = await makeSigner(tiny.path, 'old', 30)
      for (const keyring of [old.keyring, old.armouredKeyring]) {
        await fails(
          [],
          { signedBy: old, keyring },
          { code: 'BOOTSTRAP_SIGNATURE', said: /bad signature: .*has expired/ },
        )
      }
    })

    test('an index that was changed after it was signed', () =>
      fails(
        [],
        {
          routes(routes) {
            const path = '/debian/dists/trixie/InRelease'
            routes[path] = (routes[path] as string).replace('Components: main', 'Components: mine')
          },
        },
        { code: 'BOOTSTRAP_SIGNATURE', said: /bad signature/ },
      ))

    test('an index that nobody has signed, unless that is asked for', async () => {
      await fails([], { signedBy: 'nobody' }, { code: 'BOOTSTRAP_SUITE', said: /InRelease/ })
      await using dir = await temporaryDirectory()
      const tree = await tiny.create(dir.path, [], { signedBy: 'nobody', signatures: 'ignored' })
      expect(tree.packages).toBe(1)
    })

    test('a signed index that is out of date', () =>
      fails(
        [],
        { archive: { release: ['Valid-Until: Sat, 01 Jan 2000 00:00:00 UTC'] } },
        {
          code: 'BOOTSTRAP_MIRROR',
          said: /was valid until 2000-01-01/,
          hint: /clock/,
        },
      ))

    test('a list of packages that is not the one that was signed', () =>
      fails(
        // Nobody has read the same index before, so it is not in the cache.
        [{ name: 'never-seen' }],
        { archive: { spoil: () => gzipSync('Package: other\n') } },
        {
          code: 'BOOTSTRAP_CORRUPT',
          said: /not the one that was signed/,
        },
      ))

    const spoiled = (change: (deb: Buffer) => Buffer | Responder): Published & Made => ({
      include: ['extra'],
      routes(routes) {
        routes['/debian/pool/extra_1.0_all.deb'] = change(
          routes['/debian/pool/extra_1.0_all.deb'] as Buffer,
        )
      },
    })

    test('a package with another hash', () =>
      fails(
        [{ name: 'extra' }],
        spoiled((deb) =>
          Buffer.from(deb.map((byte, at) => (at === deb.length - 1 ? byte ^ 1 : byte))),
        ),
        { code: 'BOOTSTRAP_CORRUPT', said: /extra_1.0_all.deb.*sha256/ },
      ))

    test('a package that always breaks off in the middle', { timeout: 30_000 }, () =>
      fails(
        [{ name: 'extra' }],
        spoiled((deb) => (_request, response) => {
          response.writeHead(200, { 'content-length': deb.length })
          response.write(deb.subarray(0, 100), () => response.destroy())
        }),
        { code: 'BOOTSTRAP_MIRROR', said: /extra_1.0_all.deb/ },
      ),
    )

    test('a package that the mirror does not have', () =>
      fails(
        [{ name: 'extra' }],
        {
          include: ['extra'],
          routes: (routes) => void delete routes['/debian/pool/extra_1.0_all.deb'],
        },
        { code: 'BOOTSTRAP_SUITE', said: /extra_1.0_all.deb/ },
      ))

    test('a package that nobody knows', () =>
      fails(
        [{ name: 'extra' }],
        { include: ['extar'] },
        {
          code: 'BOOTSTRAP_PACKAGE',
          said: /extar/,
          hint: /did you mean extra\?/,
        },
      ))

    test('a dependency that cannot be met, with who needs it', () =>
      fails(
        [
          { name: 'extra', fields: { Depends: 'middle' } },
          { name: 'middle', fields: { Depends: 'library (>= 2)' } },
          { name: 'library' },
        ],
        { include: ['extra'] },
        {
          code: 'BOOTSTRAP_PACKAGE',
          said: /middle \(for extra, for --include\) depends on library \(>= 2\), but library is there as 1\.0/,
        },
      ))

    test('packages that conflict, with both names', () =>
      fails(
        [{ name: 'cat', fields: { Conflicts: 'dog' } }, { name: 'dog' }],
        { include: ['cat', 'dog'] },
        {
          code: 'BOOTSTRAP_PACKAGE',
          said: /cannot install dog .*cat 1\.0 is there .*conflicts with dog/,
        },
      ))

    test('a package whose postinst fails, with its name, its status and the log', async () => {
      await using dir = await temporaryDirectory()
      const spec = { name: 'extra', scripts: { postinst: ['echo "no luck today" >&2', 'exit 42'] } }
      const error = (await tiny
        .create(dir.path, [spec], { include: ['extra'] })
        .catch((reason: unknown) => reason)) as NspawnError
      expect(error).toMatchObject({ code: 'BOOTSTRAP_SCRIPT', operation: 'dpkg', subject: 'extra' })
      expect(error.message).toMatch(/extra: .*post-installation script.* error exit status 42/)
      const log = readFileSync(error.log!, 'utf8')
      expect(log).toContain('no luck today')
      expect(log).toMatch(/^\+ dpkg .*--configure extra$/m)
      expect(readdirSync(dir.path)).toEqual([])
    })

    test('a run that is canceled while packages are installed', async () => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const controller = new AbortController()
      const spec = { name: 'extra', scripts: { postinst: ['echo going to sleep', 'sleep 600'] } }
      const run = tiny.create(dir.path, [spec], {
        include: ['extra'],
        signal: controller.signal,
        log: (event) => {
          if (event.kind === 'output' && event.line === 'going to sleep') controller.abort()
        },
      })
      await expect(run).rejects.toMatchObject({ code: 'CANCELED' })
      expect(readdirSync(dir.path)).toEqual([])
      expect(await mine(before, dir.path)).toEqual([])
    })

    test('a run that is killed, when the next one begins', { timeout: 60_000 }, async () => {
      await using dir = await temporaryDirectory()
      await using server = await tiny.publish([
        { name: 'extra', scripts: { postinst: ['echo going to sleep', 'sleep 600'] } },
      ])
      const [program, ...args] = tsnspawnBuild(
        ...['--machines-dir', dir.path, '--state-dir', join(tiny.path, 'state')],
        ...['create', 'debian', 'tree', '--via', 'embedded', '--no-updates'],
        ...[
          '--mirror',
          `${server.origin}/debian`,
          '--keyring',
          tiny.signer.keyring,
          '--include',
          'extra',
        ],
      )
      const running = execa(program, args, { reject: false, buffer: false })
      const log = join(tiny.path, 'state/logs/create-tree.log')
      const sleeps = () => existsSync(log) && readFileSync(log, 'utf8').includes('\ngoing to sleep')
      await expect.poll(sleeps, { timeout: 30_000 }).toBe(true)
      running.kill('SIGKILL')
      await running
      expect(readdirSync(dir.path).filter((name) => !name.startsWith('.#'))).toEqual([])
      await tiny.make(dir.path, server)
      expect(readdirSync(dir.path)).toEqual(['tree'])
    })
  },
)

describe.skipIf(missing || lacks('loop devices'))(
  'the embedded bootstrapper on a small disk',
  () => {
    test('says that it is full, and leaves it empty', { timeout: 60_000 }, async () => {
      await using dir = await temporaryDirectory()
      const mountPoint = join(dir.path, 'disk')
      await mkdir(mountPoint)
      await execa('truncate', ['--size=330M', join(dir.path, 'disk.img')])
      await execa('mkfs.ext4', ['-q', '-F', '-m0', join(dir.path, 'disk.img')])
      await execa('mount', ['-o', 'loop', join(dir.path, 'disk.img'), mountPoint])
      try {
        const postinst = ['cat /dev/zero > /filler']
        const run = tiny.create(mountPoint, [{ name: 'big', scripts: { postinst } }], {
          include: ['big'],
        })
        await expect(run).rejects.toMatchObject({ code: 'ENOSPC' })
        expect(readdirSync(mountPoint)).toEqual(['lost+found'])
      } finally {
        await execa('umount', [mountPoint])
      }
    })
  },
)

/** What is new since `before`, but for the mounts of other work on this machine. */
async function mine(before: Set<string>, directory: string): Promise<string[]> {
  const found = await newLeftOvers(before, { directories: [directory] })
  return found.filter((line) => !line.startsWith('mount ') || line.includes(directory))
}
