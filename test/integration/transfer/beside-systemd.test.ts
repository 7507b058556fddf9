/** The same imports and exports through systemd's own helpers, which need neither its daemon nor a bus. */
import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { makeOddTree, treeListing } from '../images/tree-listing.ts'
import { buildProgram, type BuildProgram, type Ended } from './build-program.ts'

const helpers = '/lib/systemd'
const attributes = ['program:setfattr', 'program:setfacl', 'program:setcap'] as const
const lacking = !existsSync(`${helpers}/systemd-import`) || lacks('root', ...attributes)

/** The top's time is theirs of the import where the source does not tell it, and even where it does. */
const listing = (tree: string) => treeListing(tree).replace(/^(\|d\|[^|]*\|[^|]*\|)[0-9.]*/m, '$1')

describe.skipIf(lacking)('beside systemd', () => {
  let dir: TemporaryDirectory
  let build: BuildProgram
  /** Theirs. */
  let root: string
  const file = (name: string) => join(dir.path, name)

  beforeAll(async () => {
    dir = await temporaryDirectory()
    build = await buildProgram()
    root = file('theirs')
    mkdirSync(root)
    makeOddTree(file('tree'))
    // Their tar lacks the right to set it.
    execFileSync('setfattr', ['-x', 'trusted.note', file('tree/usr')])
    mkdirSync(file('tree/etc'))
    writeFileSync(file('tree/etc/os-release'), 'ID=test\n')
    mkdirSync(file('wrapped'))
    execFileSync('cp', ['-a', file('tree'), file('wrapped/inner')])
    const tar = (name: string, from: string, ...what: string[]) =>
      execFileSync('tar', [
        '-C',
        from,
        '--xattrs',
        '--xattrs-include=*',
        '-caf',
        file(name),
        ...what,
      ])
    tar('box.tar', file('tree'), '.')
    tar('box2.tar.xz', file('tree'), '.')
    tar('wrapped.tgz', file('wrapped'), 'inner')
    tar('plain.tar.bz2', file('tree/usr'), 'bin')
    writeFileSync(file('disk.raw'), Buffer.concat([Buffer.alloc(1 << 20), Buffer.from('end')]))
    execFileSync('xz', ['-k', file('disk.raw')])
    writeFileSync(file('empty'), '')
    writeFileSync(file('text.tar'), 'this is no archive, and long enough to look at\n'.repeat(30))
    writeFileSync(file('cut.tar.xz'), readFileSync(file('box2.tar.xz')).subarray(0, 1000))
    writeFileSync(file('bad name.raw'), 'x'.repeat(600))
  })
  afterAll(async () => {
    await build[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
  })

  const systemd = async (...args: string[]): Promise<Ended> => {
    const [program = '', ...rest] = args
    const { exitCode, stderr, stdout } = await execa(`${helpers}/${program}`, rest, {
      reject: false,
    })
    return { status: exitCode, stderr, stdout }
  }

  it.each([
    ['import-tar', 'box.tar', 'box'],
    ['import-tar', 'box2.tar.xz', 'box2'],
    ['import-tar', 'wrapped.tgz', 'wrapped'],
    ['import-tar', 'plain.tar.bz2', 'plain'],
    ['import-fs', 'tree', 'tree'],
  ])('%s %s makes the same tree of the same name', async (verb, source, name) => {
    const theirs =
      verb === 'import-fs'
        ? await systemd('systemd-import-fs', `--image-root=${root}`, 'run', file(source), name)
        : await systemd('systemd-import', `--image-root=${root}`, 'tar', file(source))
    expect(theirs.status).toBe(0)
    expect(await build.run([verb, file(source)])).toMatchObject({ status: 0 })
    expect(listing(join(build.machines, name))).toBe(listing(join(root, name)))
  })

  it.each(['disk.raw', 'disk.raw.xz'])(
    'import-raw %s makes the same disk of the same name',
    async (source) => {
      const force = ['--force', `--image-root=${root}`]
      expect(await systemd('systemd-import', ...force, 'raw', file(source))).toMatchObject({
        status: 0,
      })
      expect(await build.run(['import-raw', '--force', file(source)])).toMatchObject({ status: 0 })
      const [ours, theirs] = [join(build.machines, 'disk.raw'), join(root, 'disk.raw')]
      await execa('cmp', [ours, theirs])
      expect(statSync(ours).mode).toBe(statSync(theirs).mode)
      expect(statSync(ours).blocks).toBeLessThanOrEqual(statSync(theirs).blocks)
    },
  )

  it.each([
    ['a name that is taken', 'import-raw', ['disk.raw']],
    ['a name that no machine has', 'import-raw', ['disk.raw', 'a_b']],
    ['a file whose name is none', 'import-raw', ['bad name.raw']],
    ['what is not there', 'import-tar', ['nowhere.tar']],
    ['an empty archive', 'import-tar', ['empty', 'void']],
    ['an empty disk', 'import-raw', ['empty', 'void']],
    ['what is no archive', 'import-tar', ['text.tar']],
    ['an archive that is cut off', 'import-tar', ['cut.tar.xz']],
    ['a directory as an archive', 'import-tar', ['tree', 'void']],
    ['a file as a directory', 'import-fs', ['disk.raw', 'void']],
  ] as const)('both refuse %s', async (_, verb, [source, name]) => {
    const rest = name === undefined ? [] : [name]
    const before = [build.entries(), readdirSync(root)]
    const theirs =
      verb === 'import-fs'
        ? await systemd('systemd-import-fs', `--image-root=${root}`, 'run', file(source), ...rest)
        : await systemd(
            'systemd-import',
            `--image-root=${root}`,
            verb.slice(7),
            file(source),
            ...rest,
          )
    const ours = await build.run([verb, file(source), ...rest])
    // A file that is not there ends theirs with a message, and with status 0.
    expect(theirs.stderr).toMatch(/[Ff]ailed|not valid|Premature/)
    expect(ours.status).toBeGreaterThan(0)
    expect(ours.stderr).not.toMatch(/bug/)
    expect([build.entries(), readdirSync(root)]).toEqual(before)
  })

  it('each reads what the other one exports', async () => {
    const [ours, theirs] = [file('ours.tar.gz'), file('theirs.tar.gz')]
    expect(await build.run(['export-tar', 'box', ours])).toMatchObject({ status: 0 })
    expect(
      await systemd('systemd-export', 'tar', join(build.machines, 'box'), theirs),
    ).toMatchObject({ status: 0 })
    expect(await systemd('systemd-import', `--image-root=${root}`, 'tar', ours)).toMatchObject({
      status: 0,
    })
    expect(await build.run(['import-tar', theirs])).toMatchObject({ status: 0 })
    const box = treeListing(join(build.machines, 'box'))
    expect(treeListing(join(root, 'ours'))).toBe(box)
    expect(treeListing(join(build.machines, 'theirs'))).toBe(box)
    const [ourDisk, theirDisk] = [file('ours.raw'), file('theirs.raw')]
    await build.run(['export-raw', 'disk', ourDisk])
    await systemd('systemd-export', 'raw', join(build.machines, 'disk.raw'), theirDisk)
    await execa('cmp', [ourDisk, theirDisk])
  })
})
