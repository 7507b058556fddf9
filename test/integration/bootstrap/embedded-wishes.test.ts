/** What users may wish of the embedded bootstrapper, and what becomes of trees that cannot be made. */
import { execa } from 'execa'
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import type { LogEvent } from '../../../src/log.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyArchives, type TinyArchives } from '../../fixtures/tiny-archives.ts'

const missing = lacks('root', 'program:dpkg-deb')

let tiny: TinyArchives

beforeAll(async () => {
  if (!missing) tiny = await tinyArchives()
})

afterAll(async () => {
  await tiny?.[Symbol.asyncDispose]()
})

const refused = async (run: Promise<unknown>): Promise<NspawnError> => {
  try {
    await run
  } catch (error) {
    return error as NspawnError
  }
  throw new Error('it was made')
}

const read = (directory: string, path: string) => readFileSync(join(directory, path), 'utf8')

/** Nobody listens there. */
const nowhere = 'http://127.0.0.1:1/debian'

describe.skipIf(missing)('several mirrors', () => {
  test('the next one is asked where one is not there, and the tree keeps the first', async () => {
    await using dir = await temporaryDirectory()
    await using server = await tiny.publish([{ name: 'extra' }])
    const warnings: string[] = []
    const tree = await tiny.make(dir.path, server, {
      mirror: nowhere,
      otherMirrors: [`${server.origin}/debian`],
      include: ['extra'],
      log: (event) => void (event.kind === 'warning' && warnings.push(event.text)),
    })
    expect(tree.packages).toBe(2)
    expect(warnings).toEqual([
      expect.stringMatching(
        /^http:\/\/127\.0\.0\.1:1\/debian\/ failed: .*; going on with /,
      ) as string,
    ])
    expect(read(tree.path, 'etc/apt/sources.list.d/debian.sources')).toContain(`URIs: ${nowhere}\n`)
  })

  test('one that lies is passed over, for its index and for its packages', async () => {
    await using dir = await temporaryDirectory()
    const specs = [{ name: 'extra', files: { 'etc/extra': 'right' } }]
    await using unsigned = await tiny.publish(specs, { signedBy: tiny.stranger })
    await using broken = await tiny.publish(specs, {
      routes: (routes) => void (routes['/debian/pool/extra_1.0_all.deb'] = 'wrong'),
    })
    await using honest = await tiny.publish(specs)
    const { path } = await tiny.make(dir.path, unsigned, {
      otherMirrors: [`${broken.origin}/debian`, `${honest.origin}/debian`],
      include: ['extra'],
      state: join(dir.path, 'state'),
    })
    expect(read(path, 'etc/extra')).toBe('right')
  })
})

describe.skipIf(missing)('--offline', () => {
  test('makes from the cache what was made before, and names what is not there', async () => {
    await using dir = await temporaryDirectory()
    const state = join(dir.path, 'state')
    const machines = join(dir.path, 'machines')
    const server = await tiny.publish([{ name: 'extra' }, { name: 'other', version: '2:3' }])
    const offline = { state, network: 'forbidden' } as const
    const nothing = await refused(tiny.make(machines, server, { ...offline, name: 'zero' }))
    expect(nothing).toMatchObject({ code: 'BOOTSTRAP_OFFLINE' })
    expect(describeError(nothing)).toMatch(/the index of trixie is not in the cache/)
    await tiny.make(machines, server, { state, name: 'one', include: ['extra'] })
    const asked = server.requests.length
    const again = await tiny.make(machines, server, { ...offline, name: 'two', include: ['extra'] })
    expect(again.packages).toBe(2)
    const lacking = await refused(
      tiny.make(machines, server, { ...offline, name: 'three', include: ['extra', 'other'] }),
    )
    expect(describeError(lacking)).toMatch(/packages are not in the cache: other 2:3/)
    expect(lacking.hint).toMatch(/without --offline/)
    expect(server.requests).toHaveLength(asked)
    await server[Symbol.asyncDispose]()
    expect(readdirSync(machines)).toEqual(['one', 'two'])
  })
})

describe.skipIf(missing)('--repo', () => {
  test('installs from another archive, trusted by its own key, and keeps both', async () => {
    await using dir = await temporaryDirectory()
    await using main = await tiny.publish([])
    await using other = await tiny.publish([{ name: 'extra', files: { 'etc/extra': 'x' } }], {
      signedBy: tiny.stranger,
      archive: { suite: 'vendor' },
    })
    const line = (keyring: string) =>
      `deb [signed-by=${keyring}] ${other.origin}/debian vendor main`
    const { path } = await tiny.make(dir.path, main, {
      repositories: [line(tiny.stranger.keyring)],
      include: ['extra'],
    })
    expect(read(path, 'etc/extra')).toBe('x')
    const sources = read(path, 'etc/apt/sources.list.d/debian.sources')
    expect(sources).toContain(
      `URIs: ${other.origin}/debian\nSuites: vendor\nComponents: main\nSigned-By: /etc/apt/keyrings/1-stranger.gpg\n`,
    )
    const key = readFileSync(join(path, 'etc/apt/keyrings/1-stranger.gpg'))
    expect(key.equals(readFileSync(tiny.stranger.keyring))).toBe(true)
    const error = await refused(
      tiny.make(dir.path, main, {
        name: 'two',
        repositories: [line(tiny.signer.keyring)],
        include: ['extra'],
      }),
    )
    expect(error).toMatchObject({ code: 'BOOTSTRAP_SIGNATURE' })
  })
})

describe.skipIf(missing)('an archive that stands still', () => {
  test('is taken when that is asked for, and then by the tree too', async () => {
    await using dir = await temporaryDirectory()
    await using server = await tiny.publish([], {
      archive: { release: ['Valid-Until: Sat, 01 Jan 2000 00:00:00 UTC'] },
    })
    const error = await refused(tiny.make(dir.path, server))
    expect(error.hint).toMatch(/up to date.*--no-check-valid-until/)
    const { path } = await tiny.make(dir.path, server, { outdated: 'accepted' })
    expect(read(path, 'etc/apt/sources.list.d/debian.sources')).toContain('Check-Valid-Until: no\n')
  })
})

describe.skipIf(missing || lacks('user namespaces'))('--private-users', () => {
  test('scripts have users of their own, and the tree belongs to those of the host', async () => {
    await using dir = await temporaryDirectory()
    const postinst = ['cat /proc/self/uid_map > /seen', ': > /made']
    const { path } = await tiny.create(dir.path, [{ name: 'extra', scripts: { postinst } }], {
      include: ['extra'],
      users: 'private',
    })
    const [inside, outside] = read(path, 'seen').trim().split(/\s+/)
    expect([inside, outside === '0']).toEqual(['0', false])
    const { stdout } = await execa('find', [path, '!', '-uid', '0', '-o', '!', '-gid', '0'])
    expect(stdout).toBe('')
  })
})

describe.skipIf(missing)('what cannot be made', () => {
  const failing = { name: 'extra', scripts: { postinst: [': > /half', 'exit 42'] } }

  test('is kept when that is asked for, aside, where the next run leaves it', async () => {
    await using dir = await temporaryDirectory()
    const warnings: string[] = []
    const log = (event: LogEvent) => void (event.kind === 'warning' && warnings.push(event.text))
    const how = { include: ['extra'], failed: 'keep', log } as const
    await refused(tiny.create(dir.path, [failing], how))
    const names = readdirSync(dir.path)
    expect(names).toEqual([expect.stringMatching(/^\.failed-tree-[0-9a-f]{16}$/) as string])
    const kept = join(dir.path, names[0]!)
    expect(existsSync(join(kept, 'half'))).toBe(true)
    expect(warnings).toEqual([`the failed tree is kept at ${kept}`])
    await tiny.create(dir.path, [], { failed: 'keep' })
    expect(readdirSync(dir.path).toSorted()).toEqual([...names, 'tree'])
  })

  test('does not touch the tree that it was to replace, which goes in one step otherwise', async () => {
    await using dir = await temporaryDirectory()
    const old = await tiny.create(dir.path, [])
    writeFileSync(join(old.path, 'mine'), '')
    const again = { include: ['extra'], existing: 'replace' } as const
    await refused(tiny.create(dir.path, [failing], again))
    expect(readdirSync(dir.path)).toEqual(['tree'])
    expect(existsSync(join(old.path, 'mine'))).toBe(true)
    const { ino } = lstatSync(old.path)
    const gone: boolean[] = []
    await tiny.create(dir.path, [{ name: 'extra' }], {
      ...again,
      log: () => gone.push(!existsSync(old.path)),
    })
    expect(gone).not.toContain(true)
    expect(lstatSync(old.path).ino).not.toBe(ino)
    expect(existsSync(join(old.path, 'mine'))).toBe(false)
    expect(readdirSync(dir.path)).toEqual(['tree'])
  })

  test('is a release with a slip in its name: the right one is suggested', async () => {
    await using dir = await temporaryDirectory()
    await using server = await tiny.publish([])
    const error = await refused(tiny.make(dir.path, server, { release: 'trixei' }))
    expect(error).toMatchObject({
      code: 'BOOTSTRAP_SUITE',
      hint: 'did you mean --release=trixie?',
    })
    const unknown = await refused(tiny.make(dir.path, server, { variant: 'minbsae' }))
    expect(unknown).toMatchObject({ code: 'USAGE', hint: /minbase/ })
  })

  test('is packages that must be configured before each other', async () => {
    await using dir = await temporaryDirectory()
    const loop = [
      { name: 'hen', fields: { 'Pre-Depends': 'egg' } },
      { name: 'egg', fields: { 'Pre-Depends': 'hen' } },
    ]
    const error = await refused(tiny.create(dir.path, loop, { include: ['hen'] }))
    expect(error).toMatchObject({ code: 'BOOTSTRAP_PACKAGE' })
    expect(describeError(error)).toMatch(/before each other.*hen, egg/)
    const round = loop.map(({ name, fields }) => ({
      name,
      fields: { Depends: fields['Pre-Depends'] },
    }))
    const tree = await tiny.create(dir.path, round, { include: ['hen'] })
    expect(tree.packages).toBe(3)
  })
})

/** Calls of the program's own process at which it may die, and how often it may do it before. */
const deaths = [
  ...[4, 8, 16].map((when) => ['mkdir', when] as const),
  ...[1, 2].map((when) => ['rename,renameat2', when] as const),
  ...[1, 2].map((when) => ['unlink', when] as const),
  // As it starts a container, or gets one ready.
  ...[1, 3].map((when) => ['clone', when] as const),
  ...[1, 2, 3].map((when) => ['fchmodat,chmod', when] as const),
]

describe.skipIf(missing || lacks('program:strace'))('kill -9', () => {
  test.each(deaths)(
    'at %s number %i leaves no tree, and nothing that the next run does not take away',
    { timeout: 120_000 },
    async (call, when) => {
      await using dir = await temporaryDirectory()
      await using server = await tiny.publish([{ name: 'extra' }])
      const before = await leftOvers({ directories: [dir.path] })
      const machines = join(dir.path, 'machines')
      await mkdir(machines)
      const argv = tsnspawnBuild(
        ...['--machines-dir', machines, '--state-dir', join(dir.path, 'state')],
        ...['create', 'debian', 'tree', '--via', 'embedded', '--no-updates'],
        ...['--mirror', `${server.origin}/debian`, '--keyring', tiny.signer.keyring],
        ...['--include', 'extra'],
      )
      const trace = ['-o', '/dev/null', '-e', `trace=${call}`]
      const inject = `--inject=${call}:signal=KILL:when=${when}`
      const { signal } = await execa('strace', [...trace, inject, ...argv], { reject: false })
      expect(signal).toBe('SIGKILL')
      const visible = readdirSync(machines).filter((name) => !name.startsWith('.'))
      // It may die when all has been done.
      if (visible.length > 0) expect(existsSync(join(machines, 'tree/usr/bin/dpkg'))).toBe(true)
      const name = visible.length > 0 ? 'next' : 'tree'
      await tiny.make(machines, server, {
        name,
        include: ['extra'],
        state: join(dir.path, 'state'),
      })
      // A tree that was kept for next time is whole, and may stay.
      const there = readdirSync(machines).filter((one) => !one.startsWith('.tree-'))
      expect(there.toSorted()).toEqual([...new Set([...visible, name])].toSorted())
      const left = await newLeftOvers(before, { directories: [dir.path, machines] })
      expect(left.filter((line) => line.includes(dir.path))).toEqual([])
    },
  )
})
