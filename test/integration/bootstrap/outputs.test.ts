/** The forms in which `create` delivers a tree, made from a small archive of the test's own. */
import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import { treeLogPath } from '../../../src/bootstrap/manifest.ts'
import type { OutputRequest } from '../../../src/bootstrap/output.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { findImage } from '../../../src/images/discover.ts'
import { silent } from '../../../src/log.ts'
import { isSubvolume } from '../../../src/sys/btrfs.ts'
import { aptArchive, buildDeb } from '../../fixtures/apt-archive.ts'
import { debianArchitecture } from '../../fixtures/binary-archive.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner, type Signer } from '../../fixtures/signing.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyBase } from '../../fixtures/tiny-debian.ts'
import { serve, type WebServer } from '../../fixtures/web-server.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'

const missing = lacks('root', 'program:dpkg-deb', 'program:zstd', 'program:xz', 'program:debugfs')
const epoch = 1_700_000_000

let scratch: TemporaryDirectory
let signer: Signer
let server: WebServer

beforeAll(async () => {
  if (missing) return
  scratch = await temporaryDirectory()
  const architecture = await debianArchitecture()
  signer = await makeSigner(scratch.path, 'archive')
  const debs = [await tinyBase(scratch.path, architecture)]
  const room = join(scratch.path, 'debs')
  await mkdir(room)
  const postinst = [
    'echo "root:*:30000:0:99999:7:::" > /etc/shadow',
    'echo old > /etc/passwd-',
    'echo x > /var/cache/made',
  ]
  debs.push(await buildDeb(room, { name: 'extra', scripts: { postinst } }))
  debs.push(
    await buildDeb(room, {
      name: 'sleeper',
      scripts: { postinst: ['echo going to sleep', 'sleep 600'] },
    }),
  )
  server = await serve(await aptArchive(debs, signer, { suite: 'trixie', architecture }))
})

afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  await scratch?.[Symbol.asyncDispose]()
})

interface Wish extends Partial<TreeRequest> {
  readonly output?: OutputRequest
}

async function make(directory: string, wish: Wish): Promise<CreatedTree> {
  const plan = await planCreate(
    {
      recipe: 'debian',
      via: 'embedded',
      name: 'tree',
      updates: 'none',
      include: ['extra'],
      mirror: `${server.origin}/debian`,
      keyring: signer.keyring,
      ...wish,
    },
    directory,
  )
  const stateDirectory = join(scratch.path, 'state')
  return createTree(plan, {
    machinesDirectory: directory,
    stateDirectory,
    log: silent,
    cache: 'off',
  })
}

const commandLine = (machines: string, ...words: string[]) =>
  tsnspawnBuild(
    ...['--machines-dir', machines, '--state-dir', join(scratch.path, 'state')],
    ...['create', 'debian', 'tree', '--via', 'embedded', '--no-updates', '--no-cache'],
    ...['--mirror', `${server.origin}/debian`, '--keyring', signer.keyring, ...words],
  )

const membersOf = (archive: string): string[] =>
  execFileSync('tar', ['--list', '--file', archive], { encoding: 'utf8' }).trim().split('\n')

describe.skipIf(missing)('create', { timeout: 90_000 }, () => {
  test('with a fixed time gives the same archive twice', async () => {
    await using dir = await temporaryDirectory()
    const at = (round: number, form: string) => join(dir.path, `${round}.${form}`)
    const forms = ['tar.zst', 'tar.gz']
    for (const round of [1, 2]) {
      for (const form of forms) {
        const output = { form, file: at(round, form) }
        await make(dir.path, { name: `tree-${round}`, output, sourceDateEpoch: epoch })
      }
      // File systems count in whole seconds.
      await sleep(1100)
    }
    for (const form of forms) execFileSync('cmp', [at(1, form), at(2, form)])
    expect(membersOf(at(1, 'tar.zst'))).toEqual(
      expect.arrayContaining(['./etc/os-release', './var/cache/made']),
    )
    expect(membersOf(at(1, 'tar.zst'))).not.toContain('./etc/passwd-')
    expect(readdirSync(dir.path).toSorted()).toEqual(
      [1, 2].flatMap((round) => forms.toSorted().map((form) => `${round}.${form}`)),
    )
    const newest = execFileSync(
      'tar',
      ['--list', '--verbose', '--full-time', '--utc', '--file', at(1, 'tar.gz')],
      { encoding: 'utf8' },
    )
    const times = [...newest.matchAll(/ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) /g)].map(
      ([, time]) => time!,
    )
    expect(times.toSorted().at(-1)).toBe('2023-11-14 22:13:20')
  })

  test('with a fixed time leaves nothing newer in a directory, and no later day of a password', async () => {
    await using dir = await temporaryDirectory()
    const { path } = await make(dir.path, { sourceDateEpoch: epoch })
    const newer = execFileSync('find', [path, '-newermt', `@${epoch}`], { encoding: 'utf8' })
    expect(newer).toBe('')
    expect(readFileSync(join(path, 'etc/shadow'), 'utf8')).toContain(
      `:${Math.floor(epoch / 86_400)}:0:`,
    )
  })

  test('keeps an archive that is there, unless it may be replaced', async () => {
    await using dir = await temporaryDirectory()
    const file = join(dir.path, 'a.tar')
    writeFileSync(file, 'mine')
    await expect(make(dir.path, { output: { file } })).rejects.toMatchObject({
      code: 'IMAGE_EXISTS',
    })
    expect(readFileSync(file, 'utf8')).toBe('mine')
    await make(dir.path, { output: { file }, existing: 'replace' })
    expect(membersOf(file)).toContain('./etc/os-release')
    expect(readdirSync(dir.path)).toEqual(['a.tar'])
  })

  test('writes an archive to standard output, and nothing else', async () => {
    await using dir = await temporaryDirectory()
    const [program, ...args] = commandLine(dir.path, '--output', 'tar', '--output-file', '-')
    const { stdout } = await execa(program, args, { encoding: 'buffer', maxBuffer: 1 << 28 })
    writeFileSync(join(dir.path, 'out'), stdout)
    expect(membersOf(join(dir.path, 'out'))).toContain('./etc/os-release')
    expect(readdirSync(dir.path)).toEqual(['out'])
  })

  test.skipIf(lacks('program:veritysetup'))(
    'makes a disk image with its root hash beside it, the same twice where a time is fixed',
    async () => {
      await using one = await temporaryDirectory()
      await using other = await temporaryDirectory()
      const wish: Wish = { output: { form: 'raw', verity: true }, sourceDateEpoch: epoch }
      for (const { path } of [one, other]) {
        await make(path, wish)
        expect(readdirSync(path).toSorted()).toEqual(['tree.raw', 'tree.roothash'])
        await sleep(1100)
      }
      execFileSync('cmp', [join(one.path, 'tree.raw'), join(other.path, 'tree.raw')])
      expect(findImage('tree', one.path)).toMatchObject({ type: 'raw', access: 'read-write' })
      const hash = readFileSync(join(one.path, 'tree.roothash'), 'utf8')
      expect(hash).toMatch(/^[0-9a-f]{64}\n$/)
      await expect(make(one.path, wish)).rejects.toMatchObject({ code: 'IMAGE_EXISTS' })
      await expect(make(one.path, {})).rejects.toMatchObject({ code: 'IMAGE_EXISTS' })
      // The hash of an image that was replaced speaks of nothing any more.
      await make(one.path, { output: { form: 'raw' }, existing: 'replace' })
      expect(readdirSync(one.path)).toEqual(['tree.raw'])
    },
  )

  test('refuses a subvolume where there are none, before anything is fetched', async () => {
    await using dir = await temporaryDirectory()
    const wish: Wish = { output: { form: 'subvolume' }, mirror: 'http://127.0.0.1:9/debian' }
    // Where the tests' own directory is on btrfs there are some.
    if (execFileSync('stat', ['-fc', '%T', dir.path], { encoding: 'utf8' }).trim() === 'btrfs')
      return
    await expect(make(dir.path, wish)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
    expect(readdirSync(dir.path)).toEqual([])
  })

  test.skipIf(lacks('btrfs', 'loop devices'))('makes a subvolume on btrfs', async () => {
    await using dir = await temporaryDirectory()
    using disk = loopFileSystem('btrfs', dir.path, 1024)
    const { path } = await make(disk.path, { output: { form: 'subvolume' } })
    expect(isSubvolume(path)).toBe(true)
  })

  test.each(['tar', 'raw'])(
    'leaves nothing under its name when it is killed (%s)',
    async (form) => {
      await using dir = await temporaryDirectory()
      const file = join(dir.path, `tree.${form}`)
      const output = ['--output', form, '--output-file', file]
      const stateDirectory = join(scratch.path, 'state')
      const places = { machinesDirectory: dir.path, stateDirectory, log: silent }
      const log = treeLogPath(places, 'create', file, 'tree')
      mkdirSync(dirname(log), { recursive: true })
      writeFileSync(log, '', { flag: 'a' })
      const [program, ...args] = commandLine(dir.path, '--include', 'sleeper', ...output)
      const running = execa(program, args, { reject: false, buffer: false })
      const sleeps = () => existsSync(log) && readFileSync(log, 'utf8').includes('\ngoing to sleep')
      await expect.poll(sleeps, { timeout: 60_000 }).toBe(true)
      running.kill('SIGKILL')
      await running
      expect(readdirSync(dir.path).filter((name) => !name.startsWith('.#'))).toEqual([])
      await make(dir.path, { output: { form, file } })
      expect(readdirSync(dir.path)).toEqual([`tree.${form}`])
    },
  )
})
