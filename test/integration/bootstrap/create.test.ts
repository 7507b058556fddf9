/** Trees made for real, from the archive that this host's apt is set to. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describeError } from '../../../src/errors.ts'
import debian from '../../../recipes/debian.ts'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import type { TreeManifest } from '../../../src/bootstrap/manifest.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { lockImage } from '../../../src/images/lock.ts'
import { silent, type LogEvent } from '../../../src/log.ts'
import { testDirectory } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { foreignArchitectures, lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const release = debian.defaultRelease

/** Kept from run to run, so that packages are downloaded once. */
const stateDirectory = join(testDirectory, 'state')

const slow = 240_000

/** The smallest tree that mmdebstrap makes; updates are for other tests. */
const small = {
  recipe: 'debian',
  variant: 'essential',
  updates: 'none',
} as const satisfies TreeRequest

async function create(
  machinesDirectory: string,
  request: TreeRequest,
  more: { signal?: AbortSignal; log?: (event: LogEvent) => void } = {},
) {
  const plan = await planCreate(request, machinesDirectory)
  return createTree(plan, {
    machinesDirectory,
    cache: 'off',
    stateDirectory,
    log: more.log ?? silent,
    signal: more.signal,
  })
}

const missing = lacks('root', 'program:mmdebstrap', 'program:debootstrap', 'program:unshare')

describe.skipIf(missing)('create debian', () => {
  test(
    'mmdebstrap makes a tree that runs, is said to be what it is, and tells how it was made',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const made = await create(dir.path, {
        ...small,
        name: 'small',
        via: 'mmdebstrap',
        // Without it there is no /etc/shadow.
        include: ['passwd'],
        customize: { words: { rootPassword: '$6$a$b' }, directory: dir.path },
      })
      expect(made).toMatchObject({
        name: 'small',
        path: join(dir.path, 'small'),
        release,
      })
      const { stdout } = await execa('chroot', [made.path, 'dpkg-query', '--show'])
      expect(stdout.split('\n')).toHaveLength(made.packages)
      expect(statSync(made.path).mode & 0o7777).toBe(0o755)
      expect(readdirSync(join(made.path, 'dev'))).toEqual([])
      expect(existsSync(join(made.path, 'etc/resolv.conf'))).toBe(false)
      const manifest = JSON.parse(readFileSync(made.manifest, 'utf8')) as TreeManifest
      expect(manifest.plan.strategy).toBe('mmdebstrap')
      expect(manifest.packages.map(({ name }) => name)).toContain('libc6')
      expect(manifest.tools['mmdebstrap']).toMatch(/^\d/)
      expect(readFileSync(made.manifest, 'utf8')).not.toContain('$6$a$b')
      expect(readFileSync(made.log, 'utf8')).toContain('I: success')
      expect(await mine(before, dir.path)).toEqual([])
    },
  )

  test(
    'debootstrap makes a whole tree too, and a second one fetches no package again',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const request = {
        recipe: 'debian',
        via: 'debootstrap',
        updates: 'none',
        include: ['hello'],
        exclude: ['tzdata'],
      } as const
      const made = await create(dir.path, { ...request, name: 'one' })
      expect(made.strategy).toBe('debootstrap')
      expect(
        readFileSync(join(made.path, 'etc/apt/sources.list.d/debian.sources'), 'utf8'),
      ).toContain(`Suites: ${release}\n`)
      expect(await chosen(made.path)).toEqual(['hello'])

      const controller = new AbortController()
      const lines: string[] = []
      const log = (event: LogEvent) => {
        if (event.kind === 'output') lines.push(event.line)
        // By then everything has been fetched.
        if (event.kind === 'output' && event.line.startsWith('I: Extracting')) controller.abort()
      }
      const again = create(
        dir.path,
        { ...request, name: 'two' },
        { signal: controller.signal, log },
      )
      await expect(again).rejects.toMatchObject({ code: 'CANCELED' })
      expect(lines.filter((line) => line.startsWith('I: Validating')).length).toBeGreaterThan(50)
      expect(lines.filter((line) => /^I: Retrieving (?!InRelease|Packages)/.test(line))).toEqual([])
      expect(readdirSync(dir.path)).toEqual(['one'])
    },
  )

  test(
    'an existing tree stays as it is unless it is to be replaced, and then goes in one step',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const path = join(dir.path, 'elsewhere/taken')
      await mkdir(path, { recursive: true })
      await writeFile(join(path, 'mine'), '')
      const request = {
        ...small,
        via: 'mmdebstrap',
        variant: 'minbase',
        directory: path,
        include: ['hello'],
        exclude: ['tzdata'],
      } as const
      await expect(create(dir.path, request)).rejects.toMatchObject({ code: 'IMAGE_EXISTS' })

      const lock = lockImage(path, 'shared')
      await expect(create(dir.path, { ...request, existing: 'replace' })).rejects.toMatchObject({
        code: 'EBUSY',
      })
      lock.release()
      expect(readdirSync(path)).toEqual(['mine'])

      const nameWasGone: boolean[] = []
      await create(
        dir.path,
        { ...request, existing: 'replace' },
        { log: () => nameWasGone.push(!existsSync(path)) },
      )
      expect(nameWasGone).not.toContain(true)
      expect(existsSync(join(path, 'mine'))).toBe(false)
      expect(existsSync(join(path, 'usr/bin/dpkg'))).toBe(true)
      expect(await chosen(path)).toEqual(['hello'])
      expect(readdirSync(dir.path)).toEqual(['elsewhere'])
      expect(readdirSync(join(dir.path, 'elsewhere'))).toEqual(['taken'])
    },
  )

  test.each(['mmdebstrap', 'debootstrap'])(
    'a mirror that is not there is told as such by %s',
    async (via) => {
      await using dir = await temporaryDirectory()
      const request = {
        recipe: 'debian',
        via,
        mirror: 'http://127.0.0.1:1/debian',
        updates: 'none',
      } as const
      await expect(create(dir.path, request)).rejects.toMatchObject({
        code: 'BOOTSTRAP_MIRROR',
        log: join(stateDirectory, `logs/create-debian-${release}.log`),
      })
      expect(readdirSync(dir.path)).toEqual([])
    },
  )

  test('a key that did not sign the archive is refused by both tools', async () => {
    await using dir = await temporaryDirectory()
    const keyring = '/usr/share/keyrings/debian-archive-removed-keys.gpg'
    for (const via of ['mmdebstrap', 'debootstrap']) {
      const request = { recipe: 'debian', via, keyring, updates: 'none' } as const
      await expect(create(dir.path, request)).rejects.toMatchObject({ code: 'BOOTSTRAP_SIGNATURE' })
    }
    expect(readdirSync(dir.path)).toEqual([])
  })

  test.skipIf(lacks('an architecture that nothing runs here'))(
    'a foreign architecture that nothing runs here is refused before anything is made',
    async () => {
      await using dir = await temporaryDirectory()
      const architecture = foreignArchitectures().find(({ runs }) => !runs)?.name as string
      const [program, ...args] = tsnspawnBuild(
        ...['--machines-dir', join(dir.path, 'm'), '--state-dir', join(dir.path, 's')],
        ...['create', 'debian', '--arch', architecture],
      )
      const { exitCode, stderr } = await execa(program, args, { reject: false })
      expect(exitCode).toBe(8)
      expect(stderr).toMatch(/do not run on this host\n +hint: install qemu-user-static/)
      expect(readdirSync(dir.path)).toEqual([])
    },
  )

  test.skipIf(lacks('an emulator of arm64'))(
    'a foreign architecture is made with an emulator',
    { timeout: 900_000 },
    async () => {
      await using dir = await temporaryDirectory()
      const made = await create(dir.path, { ...small, architecture: 'arm64', via: 'mmdebstrap' })
      expect(made).toMatchObject({ name: `debian-${release}-arm64`, strategy: 'mmdebstrap' })
      const { stdout } = await execa('chroot', [made.path, 'dpkg', '--print-architecture'])
      expect(stdout).toBe('arm64')
      expect(readdirSync(join(made.path, 'usr/bin')).join(' ')).not.toContain('qemu')
    },
  )

  test(
    'canceled in the middle, the tool is dead and nothing is left',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const controller = new AbortController()
      const log = (event: LogEvent) => {
        // The tool is then unpacking, with its own mounts in place.
        if (event.kind === 'step' && event.text.startsWith('installing essential'))
          controller.abort()
      }
      const run = create(
        dir.path,
        { ...small, name: 'gone', via: 'mmdebstrap' },
        { signal: controller.signal, log },
      )
      await expect(run).rejects.toMatchObject({ code: 'CANCELED' })
      expect(processesNaming(dir.path)).toEqual([])
      expect(readdirSync(dir.path)).toEqual([])
      expect(await mine(before, dir.path)).toEqual([])
    },
  )
})

describe.skipIf(missing || lacks('loop devices'))('create debian on a small disk', () => {
  test.each(['mmdebstrap', 'debootstrap'])(
    '%s on a disk that fills up says so, and leaves it empty',
    { timeout: slow },
    async (via) => {
      await using dir = await temporaryDirectory()
      const mountPoint = join(dir.path, 'disk')
      await mkdir(mountPoint)
      await execa('truncate', ['--size=340M', join(dir.path, 'disk.img')])
      await execa('mkfs.ext4', ['-q', '-F', '-m0', join(dir.path, 'disk.img')])
      await execa('mount', ['-o', 'loop', join(dir.path, 'disk.img'), mountPoint])
      try {
        // A toolchain does not fit.
        const request = { recipe: 'debian', variant: 'buildd', via, updates: 'none' } as const
        const failure = create(mountPoint, request).then(() => 'none', describeError)
        expect(await failure).toContain('the disk is full')
        expect(readdirSync(mountPoint)).toEqual(['lost+found'])
      } finally {
        await execa('umount', [mountPoint])
      }
    },
  )
})

/** What is new since `before`, but for the mounts of other work on this machine. */
async function mine(before: Set<string>, directory: string): Promise<string[]> {
  const found = await newLeftOvers(before, { directories: [directory] })
  return found.filter((line) => !line.startsWith('mount ') || line.includes(directory))
}

/** Which of the packages that the tests ask for, or ask to leave out, are in the tree. */
async function chosen(tree: string): Promise<string[]> {
  const argv = [tree, 'dpkg-query', '--show', '--showformat=${Package}\n']
  const { stdout } = await execa('chroot', argv)
  return stdout.split('\n').filter((name) => ['hello', 'tzdata'].includes(name))
}
