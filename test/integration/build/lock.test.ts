/** Build roots that are written down, and made again without a network; packages come from the host's own archive. */
import { execa } from 'execa'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildCommand, type CommandBuild } from '../../../src/build/command/driver.ts'
import { parseLock, type BuildLock } from '../../../src/build/lock/lock-file.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import { debianBuildTree, debianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { makeSourcePackage } from '../../fixtures/source-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

describe.skipIf(lacks(...buildNeeds))('a lock', { timeout: 300_000 }, () => {
  let tree: string
  let top: string
  let lockPath: string
  let lock: BuildLock
  let recorded: readonly unknown[]

  /** Runs "hello" in a root with that package, or in what `change` says. */
  const build = async (change: Partial<CommandBuild>, packages: readonly string[] = []) =>
    buildCommand({
      tree,
      source: join(top, 'source'),
      outputDirectory: join(top, 'out'),
      stateDirectory: join(top, 'state'),
      options: {
        jobs: 1,
        network: 'none',
        environment: {},
        command: ['/bin/sh', '-ec', 'hello > greeting; dpkg-query -W > packages'],
        packages,
        collect: ['greeting', 'packages'],
      },
      ...change,
    })

  const failureOf = async (result: Promise<unknown>): Promise<NspawnError> =>
    result.then(
      () => Promise.reject(new Error('the build succeeded')),
      (error: unknown) => error as NspawnError,
    )

  const changed = async (name: string, change: (lock: BuildLock) => unknown) => {
    const path = join(top, name)
    await writeFile(path, JSON.stringify(change(lock)))
    return { use: 'read', path } as const
  }

  const installed = () => readFile(join(top, 'out/packages'), 'utf8')

  beforeAll(async () => {
    tree = await debianTree()
    const temporary = await temporaryDirectory()
    top = temporary.path
    lockPath = join(top, 'hello.lock')
    await mkdir(join(top, 'source'))
    const { record } = await build({ lock: { use: 'write', path: lockPath } }, ['hello'])
    recorded = record.packages ?? []
    lock = parseLock(await readFile(lockPath, 'utf8'), lockPath)
    return () => temporary[Symbol.asyncDispose]()
  }, 600_000)

  test('has every package of the build root, with hash and place', async () => {
    const names = lock.packages.map(({ name, version, architecture }) => {
      return { name, version, architecture }
    })
    expect(names).toEqual(recorded)
    const hello = lock.packages.find(({ name }) => name === 'hello')
    expect(hello).toMatchObject({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown })
    expect(hello?.url).toMatch(/\/hello_[^/]*\.deb$/)
    expect(lock).toMatchObject({ driver: 'command', installer: 'apt', asked: ['hello'] })
  })

  test('makes the same root again on a host that has no network', async () => {
    const before = await leftOvers({ directories: [top] })
    await rm(join(top, 'state/layers'), { recursive: true })
    const run = ['build', tree, join(top, 'source'), '--output', join(top, 'out')]
    const [file, ...args] = tsnspawnBuild(
      ...['--state-dir', join(top, 'state'), ...run, '--from-lock', lockPath],
      ...['--collect', 'greeting', '--collect', 'packages', '--'],
      ...['sh', '-ec', 'hello > greeting; dpkg-query -W > packages'],
    )
    await execa('unshare', ['--net', file, ...args], { stdin: 'ignore' })
    expect(await readFile(join(top, 'out/greeting'), 'utf8')).toBe('Hello, world!\n')
    const record = JSON.parse(await readFile(join(top, 'out/build.json'), 'utf8')) as {
      readonly steps: readonly { readonly network: string }[]
    }
    expect(record.steps.map(({ network }) => network)).toEqual(['loopback', 'loopback'])
    expect(record).toMatchObject({ packages: recorded, lock: { path: lockPath } })
    expect(await newLeftOvers(before, { directories: [top] })).toEqual([])
  })

  test('has its layer kept for the next build', async () => {
    await build({ lock: { use: 'read', path: lockPath } })
    const { record } = await build({ lock: { use: 'read', path: lockPath } })
    expect(record.steps.map(({ id }) => id)).toEqual(['build'])
  })

  test('takes away what another tree has too much', async () => {
    await build({ lock: { use: 'read', path: lockPath } })
    const first = await installed()
    await build({ tree: await debianBuildTree(), lock: { use: 'read', path: lockPath } })
    expect(await installed()).toBe(first)
    expect(first).toMatch(/^hello\t/m)
  })

  test('is refused when a file is not what it says, or is nowhere to be had', async () => {
    const hello = (change: object) => (one: BuildLock) => ({
      ...one,
      packages: one.packages.map((p) => (p.name === 'hello' ? { ...p, ...change } : p)),
    })
    const other = await changed('other.lock', hello({ sha256: '0'.repeat(64) }))
    const wrong = await failureOf(build({ lock: other }))
    expect(wrong.code).toBe('DEPENDENCY_FETCH')
    expect(describeError(wrong)).toMatch(
      /cannot fetch the locked package hello .* promised was 0000/s,
    )
    const nowhere = await changed('nowhere.lock', (one) => ({
      ...one,
      packages: one.packages.map(({ url, sha256, sizeBytes, ...rest }) =>
        rest.name === 'hello' ? rest : { ...rest, url, sha256, sizeBytes },
      ),
    }))
    await expect(build({ lock: nowhere })).rejects.toMatchObject({
      code: 'DEPENDENCY_LOCK',
      message: expect.stringMatching(/the tree does not have hello/) as unknown,
    })
    const shifted = await changed('shifted.lock', hello({ version: '9:9' }))
    const differs = await failureOf(build({ lock: shifted }))
    expect(differs.code).toBe('DEPENDENCY_LOCK')
    expect(differs.message).toMatch(/not what the lock says: missing is hello 9:9 /)
  })

  test('is not written when the build fails, and never in the place of a directory', async () => {
    const lockTo = (path: string) => ({ use: 'write', path }) as const
    const failing = { command: ['false'], packages: ['hello'], collect: [], jobs: 1 }
    const options = { ...failing, network: 'none', environment: {} } as const
    await expect(build({ lock: lockTo(join(top, 'failed.lock')), options })).rejects.toMatchObject({
      code: 'BUILD_FAILED',
    })
    expect(await readdir(top)).not.toContain('failed.lock')
    await expect(build({ lock: lockTo(top) })).rejects.toMatchObject({ code: 'INVALID_OUTPUT' })
  })

  test('of a Debian package builds it offline, and only the source it was made for', async () => {
    const own = await debianBuildTree()
    const source = join(top, 'package')
    await mkdir(source)
    const fixture = { buildDepends: 'hello', build: ['hello > out/hello'] }
    const dsc = await makeSourcePackage(source, fixture)
    const path = join(top, 'tiny.lock')
    const common = ['--state-dir', join(top, 'state'), 'build', own]
    const results = ['--output', join(top, 'debian')]
    const run = (words: readonly string[]) => execa(...withArguments(words), { reject: false })
    const made = await run([...common, dsc, ...results, '--lock', path])
    expect(made).toMatchObject({ exitCode: 0 })
    const deb = join(top, 'debian/tiny_1.0_amd64.deb')
    const first = await readFile(deb)
    await rm(join(top, 'state/layers'), { recursive: true })
    const [file, args] = withArguments([...common, dsc, ...results, '--from-lock', path])
    await execa('unshare', ['--net', file, ...args], { stdin: 'ignore' })
    expect(await readFile(deb)).toEqual(first)
    const others = join(top, 'others')
    await mkdir(others)
    const more = await makeSourcePackage(others, { buildDepends: 'hello, cowsay' })
    const refused = await run([...common, more, ...results, '--from-lock', path])
    expect(refused).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining(
        'the lock may be of another version of the source',
      ) as unknown,
    })
  })

  function withArguments(words: readonly string[]): [string, readonly string[]] {
    const [file, ...args] = tsnspawnBuild(...words)
    return [file, args]
  }
})
