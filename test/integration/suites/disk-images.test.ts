/** `build` and `test` in disk images: their trees are mounted where nobody else sees them. */
import { execa } from 'execa'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeBusyboxTree, makeFileSystem } from '../../fixtures/disk-image.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks('root', 'overlay', 'user namespaces', 'loop devices', 'program:busybox')

describe.skipIf(missing)('in a disk image', { timeout: 120_000 }, () => {
  let place: TemporaryDirectory
  let before: Set<string>
  const scope = () => ({ machines: ['test-', 'build-'], directories: [place.path] })

  beforeAll(async () => {
    place = await temporaryDirectory()
    before = await leftOvers(scope())
    const tree = await makeBusyboxTree(join(place.path, 'tree'))
    await mkdir(join(place.path, 'machines'))
    await makeFileSystem('ext4', tree, join(place.path, 'machines/tiny.raw'), 16)
  })

  afterAll(async () => {
    await place[Symbol.asyncDispose]()
  })

  const command = (...words: string[]) =>
    tsnspawnBuild(
      ...[
        `--machines-dir=${join(place.path, 'machines')}`,
        `--state-dir=${join(place.path, 'state')}`,
      ],
      ...words,
    )
  const run = async (...words: string[]) => {
    const [program, ...args] = command(...words)
    return execa(program, args, { reject: false, stdin: 'ignore', cwd: place.path })
  }

  test('a command is tested, and changes nothing', async () => {
    const image = join(place.path, 'machines/tiny.raw')
    const whole = await readFile(image)
    const script = 'test ! -e /new && echo x > /new && cat /etc/os-release'
    const report = join(place.path, 'report.json')
    const { exitCode, stderr } = await run(
      'test',
      'tiny',
      `--report=json=${report}`,
      '--',
      'sh',
      '-c',
      script,
    )
    expect(exitCode, stderr).toBe(0)
    const { cases } = JSON.parse(await readFile(report, 'utf8')) as { cases: object[] }
    expect(cases).toMatchObject([{ image: 'tiny', status: 'passed' }])
    expect((await readFile(image)).equals(whole)).toBe(true)
  })

  test('a suite is run, in an image by its path, and in a tree beside it', async () => {
    await writeFile(
      join(place.path, 'suite.yaml'),
      'images: [tiny, ./tree/]\ncases: [{ name: a, command: [sh, -c, "exit 3"], expect: { status: 3 } }]\n',
    )
    const suite = await run('test', 'suite.yaml')
    expect(suite.exitCode, suite.stderr).toBe(0)
    expect(suite.stdout).toContain('2 passed')
    expect(await run('test', './machines/tiny.raw', '--', 'echo', 'ok')).toMatchObject({
      exitCode: 0,
    })
  })

  test('something is built', async () => {
    await mkdir(join(place.path, 'source'))
    await writeFile(join(place.path, 'source/a'), 'here\n')
    const words = ['source', '--output=out', '--collect=b', '--', 'sh', '-c', 'cat a a > b']
    const { exitCode, stderr } = await run('build', 'tiny', ...words)
    expect(exitCode, stderr).toBe(0)
    expect(await readFile(join(place.path, 'out/b'), 'utf8')).toBe('here\nhere\n')
  })

  test('what is no file system is refused', async () => {
    await writeFile(join(place.path, 'machines/odd.raw'), Buffer.alloc(1 << 20))
    const { exitCode, stderr } = await run('test', 'odd', '--', 'echo', 'ok')
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain('odd.raw')
  })

  test('a run that is killed leaves no device and no mount', async () => {
    const [program, ...args] = command(
      'build',
      'tiny',
      'source',
      '--output=killed',
      '--',
      'sh',
      '-c',
      'echo up; sleep 1000',
    )
    const running = execa(program, args, {
      reject: false,
      stdin: 'ignore',
      cwd: place.path,
      all: true,
    })
    for (let said = ''; !said.includes('up');)
      said += String(((await once(running.all, 'data')) as [Buffer])[0])
    const used = async () =>
      (await execa('losetup', ['-j', join(place.path, 'machines/tiny.raw')])).stdout
    expect(await used()).not.toBe('')
    running.kill('SIGKILL')
    await running
    await expect.poll(used, { timeout: 10_000 }).toBe('')
    expect((await run('test', 'tiny', '--', 'echo', 'ok')).exitCode).toBe(0)
    expect(await newLeftOvers(before, scope())).toEqual([])
  })
})
