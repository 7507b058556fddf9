/** Commands in copies of directories: what they see, what is taken out, what is refused. */
import { execa } from 'execa'
import { lstat, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { removeStaleBuilds } from '../../../src/build/build-place.ts'
import { buildCommand, type CommandBuild } from '../../../src/build/command/driver.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

describe.skipIf(lacks(...buildNeeds))('a command build', () => {
  let tree: string
  beforeAll(async () => {
    tree = await debianTree()
  })

  /** Runs shell lines in a copy of `work/source`. */
  async function build(
    work: string,
    lines: readonly string[],
    collect: readonly string[],
    change: Partial<CommandBuild['options']> = {},
    request: Partial<Omit<CommandBuild, 'options'>> = {},
  ) {
    await mkdir(join(work, 'source'), { recursive: true })
    return buildCommand({
      tree,
      source: join(work, 'source'),
      outputDirectory: join(work, 'out'),
      stateDirectory: join(work, 'state'),
      options: {
        jobs: 3,
        network: 'none',
        environment: {},
        command: ['/bin/sh', '-ec', lines.join('\n')],
        packages: [],
        collect,
        ...change,
      },
      ...request,
    })
  }

  const result = (work: string, name: string) => readFile(join(work, 'out', name), 'utf8')

  test('hands out what it declared, in its directories, and leaves source, tree and host as they were', async () => {
    await using work = await temporaryDirectory()
    const scope = { machines: ['build-'], directories: [work.path] }
    const before = await leftOvers(scope)
    await mkdir(join(work.path, 'source/.git'), { recursive: true })
    await writeFile(join(work.path, 'source/.git/HEAD'), 'ref: x\n')
    await writeFile(join(work.path, 'source/name'), 'world\n')
    const { files, record } = await build(
      work.path,
      [
        'mkdir -p dist/deep; echo "hello $(cat name)" > dist/deep/greeting; cat .git/HEAD > dist/head',
        'printf "#!/bin/sh\\n" > dist/program; chmod 4755 dist/program',
        'echo changed > name; id -u > dist/uid; ls /sys/class/net > dist/links; echo "$HOME $MAKEFLAGS" > dist/env',
        'touch "$HOME/writable" dist/left-out.tmp',
      ],
      ['dist/**', '!**/*.tmp'],
    )
    expect(files.map((path) => path.slice(work.path.length))).toEqual([
      '/out/dist/deep/greeting',
      '/out/dist/env',
      '/out/dist/head',
      '/out/dist/links',
      '/out/dist/program',
      '/out/dist/uid',
    ])
    expect(await result(work.path, 'dist/deep/greeting')).toBe('hello world\n')
    expect(await result(work.path, 'dist/head')).toBe('ref: x\n')
    expect(await result(work.path, 'dist/uid')).toBe('2000\n')
    expect(await result(work.path, 'dist/links')).toBe('lo\n')
    expect(await result(work.path, 'dist/env')).toBe('/build/home -j3\n')
    expect((await stat(join(work.path, 'out/dist/program'))).mode & 0o7777).toBe(0o755)
    expect((await stat(join(work.path, 'out/dist/uid'))).mode & 0o7777).toBe(0o644)
    expect(record).toMatchObject({ driver: 'command', result: 'succeeded', source: { files: 2 } })
    expect(await readFile(join(work.path, 'source/name'), 'utf8')).toBe('world\n')
    await expect(lstat(join(tree, 'build'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readdir(join(work.path, 'state/builds'))).toEqual([])
    expect(await newLeftOvers(before, scope)).toEqual([])
  })

  test('takes files that it has changed, and not those that it has removed', async () => {
    await using work = await temporaryDirectory()
    await mkdir(join(work.path, 'source'))
    for (const name of ['kept.txt', 'gone.txt', 'changed.txt'])
      await writeFile(join(work.path, 'source', name), name)
    const { files } = await build(work.path, ['rm gone.txt', 'echo more >> changed.txt'], ['*.txt'])
    expect(files.map((path) => path.slice(work.path.length))).toEqual(['/out/changed.txt'])
  })

  test.each([
    ['nothing of a declared name', 'true', 'wrote nothing of that name'],
    ['a link', 'ln -s /etc/passwd result', 'no regular file'],
    ['a fifo', 'mkfifo result', 'no regular file'],
    ['a link above a result', 'ln -s /etc a', 'wrote nothing of that name', 'a/passwd'],
    ['a name with a line break', 'touch "result\n"', 'cannot have this name', 'res*'],
    ['a name of ours', 'touch build.log', 'cannot have this name', 'build.*'],
  ])('is refused when it leaves %s', async (_what, line, message, pattern = 'result') => {
    await using work = await temporaryDirectory()
    const failure = build(work.path, [line], [pattern])
    await expect(failure).rejects.toMatchObject({ code: 'BUILD_RESULTS' })
    await expect(failure).rejects.toThrow(message)
    expect((await readdir(join(work.path, 'out'))).toSorted()).toEqual([
      ...['build-steps', 'build.json', 'build.log'],
    ])
  })

  test('has the packages that it asks for, from a layer that the next one shares', async () => {
    await using work = await temporaryDirectory()
    const once = () => build(work.path, ['hello > out'], ['out'], { packages: ['hello'] })
    const first = await once()
    expect(await result(work.path, 'out')).toBe('Hello, world!\n')
    expect(first.record.packages).toContainEqual(expect.objectContaining({ name: 'hello' }))
    const second = await once()
    expect(second.record.steps.map(({ id }) => id)).toEqual(['build'])
  })

  test('tells which of these it has opened no file of, whoever else has', async () => {
    await using work = await temporaryDirectory()
    const unopenedBy = async (line: string) => {
      const wishes = { packages: ['hello', 'sed', 'tar'] }
      const { record } = await build(work.path, [line], [], wishes, { unopened: true })
      return record.unopened
    }
    expect(await unopenedBy('hello; : | sed p')).toEqual({
      complete: true,
      packages: [{ name: 'tar', asked: 'tar', opened: [] }],
    })
    const { packages } = (await unopenedBy('test -x /usr/bin/hello; : >/tmp/x'))!
    expect(packages.map(({ name }) => name)).toEqual(['hello', 'sed', 'tar'])
  })

  test('finds its secrets in a directory of their own, and nothing else has them', async () => {
    await using work = await temporaryDirectory()
    const path = join(work.path, 'token')
    const secret = 'hush-8f2c'
    await writeFile(path, secret)
    const credentials = [{ name: 'token', source: { kind: 'file', path } }] as const
    const lines = ['id -un', 'cd "$CREDENTIALS_DIRECTORY"; ls', 'wc -c <token']
    const { record } = await build(
      work.path,
      [`{ ${lines.join('; ')}; } >out`],
      ['out'],
      {},
      {
        credentials,
      },
    )
    expect(await result(work.path, 'out')).toBe('builder\ntoken\n9\n')
    const { stdout } = await execa('grep', ['-rl', secret, work.path], { reject: false })
    expect(stdout).toBe(path)
    expect(JSON.stringify(record)).not.toContain(path)
  })

  describe('that goes too far', () => {
    const ended = async (
      line: string,
      limits: NonNullable<CommandBuild['options']['limits']>,
    ): Promise<NspawnError> => {
      await using work = await temporaryDirectory()
      return await build(work.path, [line], [], { limits }).then(
        () => Promise.reject(new Error('the build succeeded')),
        (error: unknown) => error as NspawnError,
      )
    }
    // Perl is in every Debian tree, and takes what it is told to.
    const hog = `perl -e '$x = "x" x (300 * 1024 * 1024); sleep 1'`

    test('with memory is told so, and nothing else dies', async () => {
      const error = await ended(hog, { memoryBytes: 128 * 1024 ** 2 })
      expect(error).toMatchObject({ code: 'LIMIT_MEMORY' })
      expect(describeError(error)).toContain('the memory limit was hit')
    })

    test('with processes is told so', async () => {
      const line = 'for i in $(seq 100); do sleep 5 & done; wait'
      expect(await ended(line, { tasks: 40 })).toMatchObject({ code: 'LIMIT_TASKS' })
    })

    test('with the disk is told so, and what it was given it can use', async () => {
      const line = (megabytes: number) =>
        `dd if=/dev/zero of=$HOME/big bs=1M count=${megabytes} && mv $HOME/big big`
      const diskBytes = 64 * 1024 ** 2
      const error = await ended(line(65), { diskBytes })
      expect(error).toMatchObject({ code: 'LIMIT_DISK' })
      expect(describeError(error)).toContain('the disk limit was hit')
      await using work = await temporaryDirectory()
      const scope = { machines: ['build-'], directories: [work.path] }
      const before = await leftOvers(scope)
      const { files } = await build(work.path, [line(48)], ['big'], { limits: { diskBytes } })
      expect((await stat(files[0] ?? '')).size).toBe(48 * 1024 ** 2)
      expect(await newLeftOvers(before, scope)).toEqual([])
    })

    test('in silence is ended, unless it keeps on saying something', async () => {
      expect(await ended('echo once; sleep 100', { silenceMs: 1500 })).toMatchObject({
        code: 'TIMEOUT',
      })
      await using work = await temporaryDirectory()
      const line = 'for i in 1 2 3 4; do sleep 0.4; echo $i; done'
      await build(work.path, [line], [], { limits: { silenceMs: 1500 } })
    })

    test('within its limits is left alone, and its processor time is what it was given', async () => {
      await using work = await temporaryDirectory()
      const limits = { memoryBytes: 1024 ** 3, tasks: 100, cpus: 0.5 }
      const { files } = await build(work.path, [hog, 'touch done'], ['done'], { limits })
      expect(files).toHaveLength(1)
    })

    test('leaves no group of control behind', async () => {
      await using work = await temporaryDirectory()
      const scope = { machines: ['build-'], directories: [work.path] }
      const before = await leftOvers(scope)
      await build(work.path, ['true'], [], {
        limits: { memoryBytes: 1024 ** 3, tasks: 50, cpus: 1 },
      })
      expect(await newLeftOvers(before, scope)).toEqual([])
    })
  })

  test.each([
    ['that waits for input gets its end', 'cat; echo over > out'],
    ['that leaves a daemon behind takes it along', '(sleep 1000 &) ; echo over > out'],
    [
      'that prints one endless line is none the worse',
      'head -c 30000000 /dev/zero; echo over > out',
    ],
  ])('%s', async (_what, line) => {
    await using work = await temporaryDirectory()
    await build(work.path, [line], ['out'])
    expect(await result(work.path, 'out')).toBe('over\n')
  })

  test('that is killed leaves a disk that the next one takes away', async () => {
    await using work = await temporaryDirectory()
    await mkdir(join(work.path, 'source'))
    const state = join(work.path, 'state')
    const scope = { machines: ['build-'], directories: [work.path] }
    const before = await leftOvers(scope)
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree, 'source', '--disk=64M', '--'],
      ...['sh', '-c', 'echo kill me now; sleep 86396'],
    )
    const child = execa(program, args, {
      cwd: work.path,
      all: true,
      reject: false,
      stdin: 'ignore',
    })
    let said = ''
    child.all.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await expect.poll(() => said, { timeout: 60_000 }).toMatch(/^kill me now$/m)
    child.kill('SIGKILL')
    await child
    await expect
      .poll(async () => (await execa('ps', ['-eo', 'args'])).stdout)
      .not.toContain('sleep 86396')
    expect(await newLeftOvers(before, scope)).not.toEqual([])
    expect(removeStaleBuilds(state)).toContainEqual(expect.stringContaining('/builds/'))
    await expect.poll(() => newLeftOvers(before, scope)).toEqual([])
  })

  test('by the program ends with the class of its failure', async () => {
    await using work = await temporaryDirectory()
    await mkdir(join(work.path, 'source'))
    const run = (...words: string[]) => {
      const [program, ...args] = tsnspawnBuild(
        ...['--state-dir', join(work.path, 'state'), 'build', tree, ...words],
      )
      return execa(program, args, { cwd: work.path, reject: false })
    }
    const failed = await run('source', '-o', 'out', '--', 'sh', '-c', 'echo no luck; exit 3')
    expect(failed.exitCode).toBe(1)
    expect(failed.stderr).toContain('no luck')
    const foreign = await run('source', '--profiles=nodoc', '--', 'true')
    expect(foreign.exitCode).toBe(2)
    expect(foreign.stderr).toContain('--profiles is for Debian packages')
    const nothing = await run('source')
    expect(nothing.exitCode).toBe(5)
    expect(nothing.stderr).toContain('nothing that can be built')
  })
})
