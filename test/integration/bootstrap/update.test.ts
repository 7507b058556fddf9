/** Upgrades of a real Debian tree, from small archives that the tests make and sign. */
import { execa } from 'execa'
import {
  chownSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { updateTree } from '../../../src/bootstrap/update.ts'
import { describeError } from '../../../src/errors.ts'
import { findImage } from '../../../src/images/discover.ts'
import { lockImage } from '../../../src/images/lock.ts'
import { silent } from '../../../src/log.ts'
import { aptArchive, buildDeb, type DebSpec } from '../../fixtures/apt-archive.ts'
import { debianArchitecture } from '../../fixtures/binary-archive.ts'
import { copyDebianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner, type Signer } from '../../fixtures/signing.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder, type WebServer } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:mmdebstrap', 'program:dpkg-deb')

const slow = 180_000

const greeter = (version: string, more: Partial<DebSpec> = {}): DebSpec => ({
  name: 'greeter',
  version,
  files: { 'usr/share/greeting': `hello ${version}\n`, 'etc/greeter': `default ${version}\n` },
  conffiles: ['/etc/greeter'],
  ...more,
})

describe.skipIf(missing)('update', () => {
  let dir: TemporaryDirectory
  let signer: Signer
  let server: WebServer
  const routes: Record<string, Buffer | string | Responder> = {}
  const machines = () => join(dir.path, 'machines')
  const box = () => join(machines(), 'box')
  const state = () => join(dir.path, 'state')
  const greeting = () => readFileSync(join(box(), 'usr/share/greeting'), 'utf8')

  beforeAll(async () => {
    dir = await temporaryDirectory()
    signer = await makeSigner(dir.path, 'archive')
    server = await serve(routes)
    await mkdir(machines())
    await copyDebianTree(box())
    await mkdir(join(dir.path, 'first'))
    const { content } = await buildDeb(join(dir.path, 'first'), greeter('1.0'))
    writeFileSync(join(box(), 'greeter.deb'), content)
    await execa('chroot', [box(), 'dpkg', '--install', '/greeter.deb'])
    await rm(join(box(), 'greeter.deb'))
    await rm(join(box(), 'etc/apt/sources.list'), { force: true })
    await rm(join(box(), 'etc/apt/sources.list.d'), { recursive: true, force: true })
    copyFileSync(signer.keyring, join(box(), 'etc/apt/trusted.gpg.d/tests.gpg'))
    writeFileSync(join(box(), 'etc/apt/sources.list'), `deb ${server.origin}/debian trixie main\n`)
    writeFileSync(join(box(), 'etc/resolv.conf'), 'nameserver 192.0.2.1\n')
    writeFileSync(join(box(), 'etc/greeter'), 'changed by hand\n')
  }, slow)

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
  })

  let before = new Set<string>()
  beforeEach(async () => {
    before = await leftOvers({ directories: [machines()] })
  })
  afterEach(async () => {
    const left = await newLeftOvers(before, { directories: [machines()] })
    const ours = left.filter((line) => line.includes(machines()))
    if (ours.length > 0) throw new Error(`left over: ${ours.join('\n')}`)
  })

  async function publish(spec: DebSpec): Promise<void> {
    for (const path of Object.keys(routes)) delete routes[path]
    const room = join(dir.path, `debs-${spec.version}`)
    await mkdir(room)
    const options = { suite: 'trixie', architecture: await debianArchitecture(), forApt: true }
    Object.assign(routes, await aptArchive([await buildDeb(room, spec)], signer, options))
  }

  const context = () => ({
    machinesDirectory: machines(),
    stateDirectory: state(),
    log: silent,
  })
  const update = (mode: 'apply' | 'preview') =>
    updateTree(findImage('box', machines())!, mode, context())

  test(
    'shows what would change and changes nothing, then does just that, once',
    { timeout: slow },
    async () => {
      await publish(greeter('2.0'))
      const changes = [{ name: 'greeter', architecture: 'all', from: '1.0', to: '2.0' }]
      expect((await update('preview')).changes).toEqual(changes)
      expect(greeting()).toBe('hello 1.0\n')
      const old = statSync(box()).ino
      const [program, ...words] = tsnspawnBuild(
        '--machines-dir',
        machines(),
        '--state-dir',
        state(),
      )
      const { stdout } = await execa(program, [...words, 'update', 'box'])
      expect(stdout).toBe('IMAGE PACKAGE OLD NEW\nbox   greeter 1.0 2.0')
      expect(greeting()).toBe('hello 2.0\n')
      expect(statSync(box()).ino).not.toBe(old)
      expect(readFileSync(join(box(), 'etc/greeter'), 'utf8')).toBe('changed by hand\n')
      expect(readFileSync(join(box(), 'etc/resolv.conf'), 'utf8')).toBe('nameserver 192.0.2.1\n')
      expect(existsSync(join(box(), 'usr/sbin/policy-rc.d'))).toBe(false)
      expect(
        readdirSync(join(box(), 'var/cache/apt/archives')).filter((name) => name.endsWith('.deb')),
      ).toEqual([])
      const again = statSync(box()).ino
      expect((await update('apply')).changes).toEqual([])
      expect(statSync(box()).ino).toBe(again)
    },
  )

  test('leaves the tree as it was when a package fails', { timeout: slow }, async () => {
    await publish(
      greeter('3.0', { scripts: { postinst: ['echo no greeting today >&2', 'exit 3'] } }),
    )
    const failure = await update('apply').catch((error: unknown) => error)
    expect(describeError(failure)).toContain('cannot bring the tree up to date')
    expect(failure).toMatchObject({ code: 'BOOTSTRAP_SCRIPT' })
    expect((failure as { log: string }).log).toBe(join(state(), 'logs/update-box.log'))
    expect(readFileSync(join(state(), 'logs/update-box.log'), 'utf8')).toContain(
      'no greeting today',
    )
    expect(greeting()).toBe('hello 2.0\n')
  })

  test(
    'killed in the middle, it leaves the old tree, and the next one does all of it',
    { timeout: slow },
    async () => {
      await publish(greeter('4.0', { scripts: { postinst: ['sleep 1000'] } }))
      const [program, ...words] = tsnspawnBuild(
        '--machines-dir',
        machines(),
        '--state-dir',
        state(),
      )
      const killed = execa(program, [...words, 'update', 'box'], { reject: false })
      await vi.waitFor(
        () => {
          const hidden = readdirSync(machines()).find((name) => /^\.#machine\.box[^.]*$/.test(name))
          const file = join(machines(), hidden ?? '-', 'tree/usr/share/greeting')
          expect(readFileSync(file, 'utf8')).toBe('hello 4.0\n')
        },
        { timeout: 90_000, interval: 200 },
      )
      killed.kill('SIGKILL')
      await killed
      expect(greeting()).toBe('hello 2.0\n')
      await publish(greeter('5.0'))
      // What is left is in use for as long as its container takes to die.
      await vi.waitFor(async () => expect((await update('apply')).changes).toHaveLength(1), {
        timeout: 60_000,
        interval: 500,
      })
      expect(greeting()).toBe('hello 5.0\n')
    },
  )

  const tellUsers = { scripts: { postinst: ['cat /proc/self/uid_map > /usr/share/users'] } }
  const toldUsers = () => readFileSync(join(box(), 'usr/share/users'), 'utf8').trim().split(/\s+/)

  test(
    'scripts run in a user namespace where those did that the tree was made with',
    { timeout: slow },
    async () => {
      await publish(greeter('6.0', tellUsers))
      await update('apply')
      expect(toldUsers()).toEqual(['0', '0', '4294967295'])
      await mkdir(join(state(), 'manifests'), { recursive: true })
      const manifest = join(state(), 'manifests/box.json')
      writeFileSync(manifest, JSON.stringify({ plan: { users: 'private' } }))
      await publish(greeter('7.0', tellUsers))
      await update('apply')
      expect(toldUsers()[1]).not.toBe('0')
      expect(statSync(join(box(), 'usr/share/users')).uid).toBe(0)
      await rm(manifest)
    },
  )

  test(
    'a tree of users of a container is updated as those, and all in it goes on to be theirs',
    { timeout: slow },
    async () => {
      await execa('cp', ['--archive', box(), join(dir.path, 'aside')])
      const base = 0x2b30000
      const [program, ...words] = tsnspawn(
        ...['-q', '-D', box(), '--register=no', '--keep-unit', '--timezone=off'],
        ...[`--private-users=${base}`, '--private-users-ownership=chown', 'true'],
      )
      await execa(program, words)
      expect(statSync(box()).uid).toBe(base)
      await publish(greeter('8.0', tellUsers))
      expect((await update('apply')).changes).toHaveLength(1)
      expect(toldUsers()).toEqual(['0', String(base), '65536'])
      const strangers = ['-not', '-uid', `+${base - 1}`, '-o', '-not', '-gid', `+${base - 1}`]
      const { stdout } = await execa('find', [box(), ...strangers])
      expect(stdout).toBe('')
      await rm(box(), { recursive: true })
      await execa('mv', [join(dir.path, 'aside'), box()])
    },
  )

  test('nothing is done to what is in use, read-only or no tree', { timeout: slow }, async () => {
    const image = findImage('box', machines())!
    const lock = lockImage(box(), 'shared')
    try {
      await expect(update('apply')).rejects.toMatchObject({ code: 'EBUSY' })
    } finally {
      lock.release()
    }
    const refused = async (more: object) => updateTree({ ...image, ...more }, 'apply', context())
    await expect(refused({ access: 'read-only' })).rejects.toMatchObject({ code: 'EROFS' })
    await expect(refused({ type: 'raw' })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    await expect(refused({ path: '/' })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    const foreign = join(machines(), 'foreign')
    await mkdir(foreign)
    chownSync(foreign, 1000, 1000)
    await expect(refused({ path: foreign })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    const empty = join(machines(), 'empty')
    await mkdir(join(empty, 'etc'), { recursive: true })
    await expect(updateTree(findImage('empty', machines())!, 'apply', context())).rejects.toThrow(
      'no package manager is known to have made it',
    )
  })
})
