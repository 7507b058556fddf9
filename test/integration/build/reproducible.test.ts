/** Sources that are built twice, the second time under other circumstances, in real containers. */
import { execa } from 'execa'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

describe.skipIf(lacks(...buildNeeds))('build --reproducible', { timeout: 120_000 }, () => {
  async function build(work: string, script: string, ...options: readonly string[]) {
    await mkdir(join(work, 'source'), { recursive: true })
    const [file, ...args] = tsnspawnBuild(
      ...['--state-dir', join(work, 'state'), 'build', await debianTree(), join(work, 'source')],
      ...['--output', join(work, 'out'), '--reproducible', ...options, '--collect', 'out/*', '--'],
      ...['sh', '-ec', `mkdir out; ${script}`],
    )
    return execa(file, args, { stdin: 'ignore', reject: false })
  }

  test('says so of what comes out the same, and leaves one build', async () => {
    await using work = await temporaryDirectory()
    const scope = { directories: [work.path] }
    const before = await leftOvers(scope)
    const { exitCode, stdout } = await build(work.path, 'echo same > out/file')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^reproducible: built twice$/m)
    const names = await readdir(join(work.path, 'out'), { recursive: true })
    expect(names.filter((name) => !name.startsWith('build')).toSorted()).toEqual([
      'out',
      'out/file',
    ])
    const verdict = await readFile(join(work.path, 'out/build.reproducible.json'), 'utf8')
    expect(JSON.parse(verdict)).toMatchObject({
      result: 'reproducible',
      varied: expect.arrayContaining(['path', 'user']) as unknown,
      samePackages: true,
      differences: [],
    })
    expect(await readdir(join(work.path, 'state/builds'))).toEqual([])
    expect(await newLeftOvers(before, scope)).toEqual([])
  })

  test('leaves the same what it is told to', async () => {
    await using work = await temporaryDirectory()
    const line = 'pwd > out/path; id -un > out/user; date +%Z > out/zone'
    const dontVary = '--dont-vary=path,user,timezone'
    expect((await build(work.path, line, dontVary)).exitCode).toBe(0)
    const wrong = await build(work.path, line, '--dont-vary=clock')
    expect(wrong.exitCode).toBe(2)
    expect(wrong.stderr).toContain('--dont-vary=clock is nothing that is varied')
  })

  test('finds what depends on circumstances, shows where, and keeps both', async () => {
    await using work = await temporaryDirectory()
    const facts = {
      host: 'hostname; getent hosts "$(hostname)"',
      names: 'id -un; id -gn; echo "$USER"',
      locale: 'echo "$LANG $LC_ALL"',
      zone: 'date +%Z',
      mask: 'umask',
      jobs: 'echo "$MAKEFLAGS"',
      environment: 'echo "$BUILD_VARIATION"',
      path: 'pwd; echo "$PWD"; readlink /proc/self/cwd',
    }
    const lines = Object.entries(facts).map(([name, line]) => `{ ${line}; } > out/${name}`)
    const tar = 'mkdir d; tar --mtime=@0 --numeric-owner -cf out/x.tar d; id -u > out/number'
    const { exitCode, stderr } = await build(work.path, [...lines, tar].join('; '), '--diffoscope')
    expect(exitCode).toBe(4)
    expect(stderr).toMatch(/source is not reproducible: .* came out otherwise the second time/)
    const report = await readFile(join(work.path, 'out/build.differences.txt'), 'utf8')
    const differing = report.match(/^out\/\S+$/gm)
    expect(differing?.toSorted()).toEqual(
      [...Object.keys(facts), 'x.tar'].map((name) => `out/${name}`).toSorted(),
    )
    expect(report).toMatch(/ {2}d\/: mode 0755 and 0775/)
    const told = await readFile(join(work.path, 'out/build.diffoscope.txt'), 'utf8')
    const named = told.slice(told.indexOf('second/out/names'), told.indexOf('first/out/path'))
    expect(named).toContain('+somebody\n')
    expect(named).toContain('-builder\n')
    expect(told).not.toContain('Modify:')
    const both = ['out', 'out/second-build'].map((name) => join(work.path, name, 'out/host'))
    expect(await Promise.all(both.map((path) => readFile(path, 'utf8')))).toEqual([
      expect.stringMatching(/^build\n127\.0\.1\.1 +build$/m),
      expect.stringMatching(/^elsewhere\n127\.0\.1\.1 +elsewhere$/m),
    ])
    const path = await readFile(join(work.path, 'out/second-build/out/path'), 'utf8')
    expect(path).toBe('/build/elsewhere\n/build/elsewhere\n/build/elsewhere\n')
  })
})
