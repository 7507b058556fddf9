/** Suites in real containers: what cases see, what is taken out, what a failure of each kind is called, what is left. */
import { execa } from 'execa'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { removeStaleBuilds } from '../../../src/build/build-place.ts'
import { runSuites, type SuitesRequest } from '../../../src/suites/run-suites.ts'
import { plainImage, readSuite, readSuiteFile } from '../../../src/suites/suite-file.ts'
import { debianBootTree, debianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { allProcesses } from '../../fixtures/processes.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { rpmBuildTree } from '../../fixtures/rpm-build-tree.ts'
import { rpmMirrorNeeds } from '../../fixtures/rpm-repository.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

describe.skipIf(lacks(...buildNeeds))('a suite', { timeout: 300_000 }, () => {
  let tree: string
  let booting: string
  beforeAll(async () => {
    tree = await debianTree()
    booting = await debianBootTree()
  }, 600_000)

  async function run(work: string, text: string, change: Partial<SuitesRequest> = {}) {
    const images = `images: [{ image: ${tree}/, label: box }]\n`
    const whole = /^images:/m.test(text) ? text : images + text
    const report = await runSuites({
      suites: [readSuite(whole, join(work, 'suite.yaml'))],
      jobs: 4,
      stateDirectory: join(work, 'state'),
      outputDirectory: join(work, 'out'),
      ...change,
    })
    const status = Object.fromEntries(
      report.cases.map(({ name, image, status: how, reason }) => [
        `${image} ${name}`,
        reason === undefined ? how : `${how}: ${reason}`,
      ]),
    )
    return { report, status }
  }

  test('runs every case in every image, each in a fresh copy, and says what came of it', async () => {
    await using work = await temporaryDirectory()
    const scope = { machines: ['test-', 'build-'], directories: [work.path] }
    const before = await leftOvers(scope)
    await mkdir(join(work.path, 'data'))
    await writeFile(join(work.path, 'data/word'), 'hi\n')
    const { report, status } = await run(
      work.path,
      `
images:
  - { image: ${tree}/, label: box, setup: ['echo more >> /prepared'] }
  - { image: ${tree}/, label: other }
setup: ['echo once > /prepared']
files: { /srv/data: data }
defaults: { timeout: 30 }
cases:
  - { name: prepared, command: cat /prepared /srv/data/word, images: [box], expect: { stdout: "once\\nmore\\nhi" } }
  - { name: alone, command: 'ls /run/dirty /dirty; ls /sys/class/net; touch /dirty', expect: { status: 2 } }
  - { name: dirties, command: 'touch /dirty /run/dirty; ls /sys/class/net', expect: { stdout: lo } }
  - { name: user, user: builder, directory: /tmp, command: 'id -un; pwd; touch here; echo $WORD', environment: { WORD: w }, expect: { stdout: "builder\\n/tmp\\nw" } }
  - { name: memory, container: volatile, command: 'touch /x; stat -f -c %T /', expect: { stdout: overlayfs } }
  - { name: fails, command: 'echo why >&2; exit 3', skip: { other: not there } }
  - { name: slow, command: sleep 30, timeout: 1, images: [box] }
  - { name: no such program, command: [/no/such], images: [box] }
  - { name: cannot be tested, command: 'echo no ipv6; exit 77', expect: { skip: 77 }, images: [box] }
  - { name: writes, command: 'mkdir -p /o/d; echo x > /o/d/x; ln -s x /o/l', collect: [/o/**, '!/o/l'], images: [box] }
  - { name: writes a link, command: 'ln -s /etc/passwd /l', collect: /l, images: [box] }
  - { name: writes nothing, command: 'true', collect: /nothing, images: [box] }
`,
    )
    expect(status).toEqual({
      'box prepared': 'passed',
      'box alone': 'passed',
      'box dirties': 'passed',
      'box user': 'passed',
      'box memory': 'passed',
      'box fails': 'failed: exit status 3, expected 0',
      'box slow': 'failed: it has not ended within 1 s',
      'box no such program': expect.stringMatching(/^failed: .*\/no\/such/),
      'box cannot be tested': 'skipped: no ipv6',
      'box writes': 'passed',
      'box writes a link': expect.stringMatching(/^failed: .*no regular file/s),
      'box writes nothing': 'failed: it wrote no file /nothing',
      'other alone': 'passed',
      'other dirties': 'passed',
      'other user': 'passed',
      'other memory': 'passed',
      'other fails': 'skipped: not there',
    })
    expect(report.counts).toEqual({ passed: 10, failed: 5, error: 0, skipped: 2 })
    expect(report.result).toBe('failed')
    const wrote = report.cases.find(({ name }) => name === 'writes')
    expect(wrote?.files).toEqual([join(work.path, 'out/box/writes/files/o/d/x')])
    const log = await readFile(join(work.path, 'out/box/fails/output.log'), 'utf8')
    expect(log).toContain('why\n')
    expect(await readdir(join(work.path, 'state/builds'))).toEqual([])
    await expect(stat(join(tree, 'prepared'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await newLeftOvers(before, scope)).toEqual([])
  })

  test('installs and sets up once, and again only when what it asks for has changed', async () => {
    await using work = await temporaryDirectory()
    const once = (line: string) =>
      run(
        work.path,
        `packages: [hello]\nsetup: ['${line}']\ncases: [{ name: a, command: hello, expect: { stdout: { contains: world } } }]`,
      )
    const setUps = async (line: string) => {
      const { report } = await once(line)
      expect(report.result).toBe('passed')
      const log = await readFile(join(work.path, 'out/box/setup.log'), 'utf8')
      return /setup layer: (\w+)/.exec(log)?.[1]
    }
    expect(await setUps('touch /a')).toBe('made')
    expect(await setUps('touch /a')).toBe('kept')
    expect(await setUps('touch /b')).toBe('made')
  })

  test('tries again as often as it may, and keeps what the last attempt said', async () => {
    await using work = await temporaryDirectory()
    const { report, status } = await run(
      work.path,
      'cases: [{ name: flaky, command: "date +%N; exit 1", retries: 2 }]',
    )
    expect(status).toEqual({ 'box flaky': 'failed: exit status 1, expected 0' })
    expect(report.cases[0]).toMatchObject({ attempts: 3, stdout: expect.stringMatching(/^\d+\n$/) })
  })

  test('whose set-up fails cannot be run, and other images do not mind', async () => {
    await using work = await temporaryDirectory()
    const { report, status } = await run(
      work.path,
      `images: [{ image: ${tree}/, label: bad, setup: [exit 9] }, { image: ${tree}/, label: good }]\ncases: [{ name: a, command: 'true' }]`,
    )
    expect(status).toEqual({
      'bad a': expect.stringMatching(/^error: the image could not be made ready/),
      'good a': 'passed',
    })
    expect(report.cases[0]?.error).toMatchObject({ code: 'TEST_SETUP' })
  })

  test('has systems that are booted for it, and ends them', async () => {
    await using work = await temporaryDirectory()
    const scope = { machines: ['test-'], directories: [work.path] }
    const before = await leftOvers(scope)
    const { status } = await run(
      work.path,
      `images: [{ image: ${booting}/, label: system }]\ncases: [{ name: boots, container: booted, user: root, timeout: 240, command: 'cat /proc/1/comm; test -S /run/systemd/private && echo up; exit 4', expect: { status: 4, stdout: "systemd\\nup" } }]`,
    )
    expect(status).toEqual({ 'system boots': 'passed' })
    expect(await newLeftOvers(before, scope)).toEqual([])
  })

  test.skipIf(lacks(...rpmMirrorNeeds))(
    'of the example passes in trees of four package managers',
    async () => {
      await using work = await temporaryDirectory()
      const path = fileURLToPath(
        new URL('../../../examples/suites/distributions.yaml', import.meta.url),
      )
      const images = [tree, booting, await rpmBuildTree('dnf'), await rpmBuildTree('zypper')]
      const suite = await readSuiteFile(path)
      expect(suite.images.map(({ source }) => source.kind)).toEqual(Array(5).fill('recipe'))
      const report = await runSuites({
        suites: [
          {
            ...suite,
            images: images.map((one, n) => ({ ...plainImage(one, '/'), label: `image${n}` })),
          },
        ],
        jobs: 2,
        stateDirectory: join(work.path, 'state'),
      })
      const wrong = report.cases.filter(({ status }) => status !== 'passed')
      expect(wrong).toEqual([])
      expect(report.counts.passed).toBe(16)
    },
  )

  describe('on the command line', () => {
    const start = (work: string, ...words: string[]) => {
      const [program, ...args] = tsnspawnBuild('--state-dir', join(work, 'state'), 'test', ...words)
      return execa(program, args, { cwd: work, reject: false, stdin: 'ignore', all: true })
    }

    test('is a command in images, with a status of its own for failures', async () => {
      await using work = await temporaryDirectory()
      const good = await start(work.path, `${tree}/`, '--report', 'tap=-', '--', 'echo', 'hi')
      expect(good.exitCode).toBe(0)
      expect(good.stdout).toMatch(/^TAP version 14\n1\.\.1\nok 1 - command \/ \S+ \/ echo hi$/)
      const bad = await start(work.path, `${tree}/`, '--', 'sh', '-c', 'echo oh no; exit 1')
      expect(bad.exitCode).toBe(4)
      expect(bad.all).toContain('  | oh no')
    })

    test.each([
      [['nowhere', '--', 'true'], 'there is no image'],
      [['./none.yaml'], 'there is no such suite'],
      [['box'], 'there is nothing to run'],
      [['box', '--boot', '--volatile', '--', 'true'], '--boot or --volatile'],
      [['box', '--report', 'xml=x', '--', 'true'], 'xml=x is no report'],
    ])('%j is refused before anything is done', async (words, message) => {
      await using work = await temporaryDirectory()
      const { exitCode, stderr } = await start(work.path, ...words)
      expect(exitCode).toBe(2)
      expect(stderr).toContain(message)
      expect(await readdir(work.path)).toEqual([])
    })

    test('that is interrupted or killed leaves nothing that the next run does not take away', async () => {
      await using work = await temporaryDirectory()
      const scope = { machines: ['test-', 'build-'], directories: [work.path] }
      const before = await leftOvers(scope)
      for (const signal of ['SIGINT', 'SIGKILL'] as const) {
        const child = start(work.path, `${tree}/`, '--', 'sleep', '86395')
        const sleeping = () => allProcesses().some(({ command }) => command === 'sleep 86395')
        await expect.poll(sleeping, { timeout: 60_000 }).toBe(true)
        child.kill(signal)
        const { exitCode } = await child
        if (signal === 'SIGINT') expect(exitCode).toBe(130)
        else expect(removeStaleBuilds(join(work.path, 'state'))).not.toEqual([])
        await expect.poll(() => newLeftOvers(before, scope), { timeout: 20_000 }).toEqual([])
      }
    })
  })
})
