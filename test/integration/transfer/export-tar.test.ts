import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lockImage } from '../../../src/images/lock.ts'
import { createSubvolume, isSubvolume } from '../../../src/sys/btrfs.ts'
import { copyDebianTree } from '../../fixtures/debian-tree.ts'
import { noise } from '../../fixtures/noise.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'
import { makeOddTree, treeListing } from '../images/tree-listing.ts'
import { buildProgram, fromDescriptor, type BuildProgram } from './build-program.ts'

const attributes = ['program:setfattr', 'program:setfacl', 'program:setcap'] as const
const shown = (file: string) => execFileSync('tar', ['-tf', file], { encoding: 'utf8' })

describe.skipIf(lacks('root', ...attributes))('a tree', () => {
  it(
    'of Debian and odd things is the same, entry by entry, after export-tar | import-tar',
    { timeout: 240_000 },
    async () => {
      await using build = await buildProgram()
      const tree = await copyDebianTree(join(build.machines, 'deb'))
      makeOddTree(join(tree, 'odd'))
      const [program, ...args] = tsnspawnBuild('--machines-dir', build.machines)
      const pipe = '"$@" -q export-tar deb | "$@" -q import-tar - again'
      execFileSync('sh', ['-c', pipe, 'sh', program, ...args])
      const again = join(build.machines, 'again')
      expect(treeListing(again)).toBe(treeListing(tree))
      for (const name of ['sparse', 'hole']) {
        const copy = statSync(join(again, 'odd', name))
        expect(copy.blocks).toBeLessThanOrEqual(statSync(join(tree, 'odd', name)).blocks)
      }
      expect(statSync(join(again, 'odd/disk')).rdev).toBe(statSync(join(tree, 'odd/disk')).rdev)
    },
  )

  it('goes through the devices of standard output and input as through a dash', async () => {
    await using build = await buildProgram()
    const tree = smallTree(build)
    const out = await build.run(['--json', 'export-tar', 'small', '/dev/stdout'])
    expect(out).toMatchObject({ status: 2, stdout: expect.stringContaining('standard output') })
    const [program, ...args] = tsnspawnBuild('--machines-dir', build.machines)
    const pipe = '"$@" -q export-tar small /dev/stdout | "$@" import-tar /dev/stdin again'
    execFileSync('sh', ['-c', pipe, 'sh', program, ...args], { stdio: 'pipe' })
    expect(treeListing(join(build.machines, 'again'))).toBe(treeListing(tree))
    expect(await build.run(['import-tar', '/dev/stdin'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('need either path or local name'),
    })
  })

  it('is the same by way of a compressed file, whose name says how', async () => {
    await using build = await buildProgram()
    const tree = smallTree(build)
    makeOddTree(tree)
    const file = join(build.path, 'packed.tar.zst')
    expect(await build.run(['export-tar', 'small', file])).toMatchObject({
      status: 0,
      stderr: `Exporting '${tree}', saving to '${file}' with compression 'zstd'.`,
      stdout: expect.stringMatching(`^Exported 'small' to '${file}', [0-9.]+[KM]\\.$`),
    })
    execFileSync('zstd', ['-qt', file])
    expect(await build.run(['import-tar', file])).toMatchObject({
      status: 0,
      stderr: `Importing '${file}', saving as 'packed'.`,
      stdout: "Created new local image 'packed'.",
    })
    expect(treeListing(join(build.machines, 'packed'))).toBe(treeListing(tree))
  })

  it('is the same after import-fs, of which other mounts are no part', async () => {
    await using build = await buildProgram()
    const tree = join(build.path, 'tree')
    makeOddTree(tree)
    fill(tree)
    const elsewhere = join(build.path, 'elsewhere')
    for (const directory of [elsewhere, join(tree, 'mnt')]) {
      mkdirSync(directory)
      chmodSync(directory, 0o1777)
      utimesSync(directory, 1e9, 1e9)
    }
    const listing = treeListing(tree)
    writeFileSync(join(elsewhere, 'secret'), '')
    utimesSync(elsewhere, 1e9, 1e9)
    execFileSync('mount', ['--bind', elsewhere, join(tree, 'mnt')])
    try {
      expect(await build.run(['import-fs', `${tree}/`])).toMatchObject({
        status: 0,
        stdout: "Created new local image 'tree'.",
      })
    } finally {
      execFileSync('umount', [join(tree, 'mnt')])
    }
    expect(treeListing(join(build.machines, 'tree'))).toBe(listing)
  })

  it('may hold the directory of the images, which is empty in the copy', async () => {
    await using build = await buildProgram()
    fill(build.path)
    smallTree(build)
    expect(await build.run(['import-fs', build.path, 'all'])).toMatchObject({ status: 0 })
    expect(readdirSync(join(build.machines, 'all', 'machines'))).toEqual([])
    expect(readdirSync(join(build.machines, 'all', 'etc'))).toEqual(['os-release'])
  })

  it('that lies one directory deep in an archive is moved up', async () => {
    await using build = await buildProgram()
    fill(join(build.path, 'outer/inner'))
    const file = join(build.path, 'deep.tgz')
    execFileSync('tar', ['-C', join(build.path, 'outer'), '-czf', file, 'inner'])
    expect(await build.run(['import-tar', file])).toMatchObject({ status: 0 })
    expect(readdirSync(join(build.machines, 'deep'))).toEqual(['etc'])
    expect(await build.run(['import-fs', join(build.path, 'outer')])).toMatchObject({ status: 0 })
    expect(readdirSync(join(build.machines, 'outer'))).toEqual(['etc'])
  })
})

describe.skipIf(lacks('root'))('export-tar', () => {
  it('takes the compression from --format=, whatever the name says', async () => {
    await using build = await buildProgram()
    smallTree(build)
    const tests = { gzip: 'gzip', bzip2: 'bzip2', xz: 'xz', zstd: 'zstd' }
    for (const [format, program] of Object.entries(tests)) {
      const file = join(build.path, 'out.tar')
      expect(await build.run(['export-tar', `--format=${format}`, 'small', file])).toMatchObject({
        status: 0,
      })
      execFileSync(program, ['-t'], { input: readFileSync(file), stdio: 'pipe' })
    }
    const plain = join(build.path, 'out.tar.gz')
    await build.run(['export-tar', '--format=uncompressed', 'small', plain])
    expect(shown(plain)).toContain('./etc/os-release\n')
  })

  it('tells when somebody is using the tree', async () => {
    await using build = await buildProgram()
    const tree = smallTree(build)
    const file = join(build.path, 'out.tar')
    const lock = lockImage(tree, 'exclusive')
    try {
      expect(await build.run(['export-tar', 'small', file])).toMatchObject({
        status: 0,
        stderr: expect.stringMatching(/warning: small is in use/),
      })
    } finally {
      lock.release()
    }
    expect((await build.run(['export-tar', 'small', file])).stderr).not.toMatch(/warning/)
  })

  it('keeps others from changing the tree meanwhile', async () => {
    await using build = await buildProgram()
    const tree = smallTree(build)
    writeFileSync(join(tree, 'large'), noise(4 << 20))
    const fifo = join(build.path, 'fifo')
    execFileSync('mkfifo', [fifo])
    const exporting = build.run(['export-tar', 'small', fifo])
    const reader = openSync(fifo, 'r')
    readSync(reader, Buffer.alloc(512))
    expect(() => lockImage(tree, 'exclusive')).toThrow(/busy/)
    closeSync(reader)
    expect(await exporting).toMatchObject({ stderr: expect.stringMatching(/EPIPE/) })
    lockImage(tree, 'exclusive').release()
  })

  it.each([
    [['nowhere'], 2, /no image for machine nowhere/],
    [['disk'], 2, /disk is a disk image[\s\S]*export-raw/],
    [['--format=lz4', 'small'], 2, /unknown format: lz4/],
    [['--json', 'small'], 2, /--json needs standard output/],
    [['small', '/nowhere/file.tar'], 2, /no such file or directory/],
    [['small', '/usr'], 2, /is a directory/],
    [['small', '/dev/null'], 2, /neither a file nor a pipe/],
  ] as const)('refuses %j', async (args, expected, message) => {
    await using build = await buildProgram()
    smallTree(build)
    writeFileSync(join(build.machines, 'disk.raw'), 'x')
    const { status, stderr, stdout } = await build.run(['export-tar', ...args])
    expect(stderr + stdout).toMatch(message)
    expect(status).toBe(expected)
  })
})

describe.skipIf(lacks('root', 'loop devices'))('on a full file system', () => {
  it('neither import-tar nor import-fs leaves anything, and both say where room is needed', async () => {
    await using place = await temporaryDirectory()
    using fs = loopFileSystem('ext4', place.path)
    const machines = join(fs.path, 'machines')
    mkdirSync(machines)
    await using build = await buildProgram(machines)
    const tree = join(place.path, 'tree')
    fill(tree)
    for (const name of ['one', 'two', 'three']) writeFileSync(join(tree, name), noise(30 << 20))
    execFileSync('tar', ['-C', tree, '-cf', `${tree}.tar`, '.'])
    for (const args of [
      ['import-fs', tree],
      ['import-tar', `${tree}.tar`],
    ]) {
      const { status, stderr } = await build.run(args)
      expect(stderr).toContain(`make room in ${machines}`)
      expect(status).toBe(7)
      expect(build.entries()).toEqual([])
    }
  })
})

describe.skipIf(lacks('root', 'loop devices', 'btrfs'))('on btrfs export-tar', () => {
  it('takes the tree as it was when it began, and leaves no snapshot', async () => {
    await using place = await temporaryDirectory()
    using fs = loopFileSystem('btrfs', place.path)
    await using build = await buildProgram(fs.path)
    const tree = join(fs.path, 'small')
    createSubvolume(tree)
    fill(tree)
    writeFileSync(join(tree, 'a-large'), noise(8 << 20))
    writeFileSync(join(tree, 'z-last'), 'still there')
    const fifo = join(build.path, 'fifo')
    execFileSync('mkfifo', [fifo])
    const exporting = build.run(['export-tar', 'small', fifo])
    const [reader, begun] = [openSync(fifo, 'r'), Buffer.alloc(512)]
    expect(readSync(reader, begun)).toBe(512)
    rmSync(join(tree, 'z-last'))
    const rest = join(build.path, 'rest')
    await execa('dd', [`of=${rest}`, 'bs=64K', 'status=none'], { stdin: fromDescriptor(reader) })
    closeSync(reader)
    execFileSync('sh', ['-c', 'cat - "$1" > "$1.tar"', 'sh', rest], { input: begun })
    expect(shown(`${rest}.tar`)).toContain('./z-last\n')
    expect(await exporting).toMatchObject({ status: 0 })
    expect(build.entries()).toEqual(['small'])
  })

  it('removes the snapshot of a killed one, and import-fs makes a snapshot', async () => {
    await using place = await temporaryDirectory()
    using fs = loopFileSystem('btrfs', place.path)
    await using build = await buildProgram(fs.path)
    const tree = join(fs.path, 'small')
    createSubvolume(tree)
    fill(tree)
    writeFileSync(join(tree, 'large'), noise(8 << 20))
    const fifo = join(build.path, 'fifo')
    execFileSync('mkfifo', [fifo])
    const exporting = build.start(['export-tar', 'small', fifo])
    const reader = openSync(fifo, 'r')
    readSync(reader, Buffer.alloc(512))
    exporting.kill('SIGKILL')
    await exporting
    closeSync(reader)
    expect(build.entries().filter((name) => name.startsWith('.#machine.small')).length).toBe(1)
    await build.run(['export-tar', 'small', join(build.path, 'out.tar')])
    expect(build.entries()).toEqual(['small'])
    expect(await build.run(['import-fs', '--read-only', tree, 'second'])).toMatchObject({
      status: 0,
    })
    const second = join(fs.path, 'second')
    expect(isSubvolume(second)).toBe(true)
    expect(() => writeFileSync(join(second, 'new'), '')).toThrow(/EROFS/)
    expect(treeListing(second)).toBe(treeListing(tree))
  })
})

function smallTree(build: BuildProgram): string {
  const tree = join(build.machines, 'small')
  mkdirSync(tree)
  fill(tree)
  return tree
}

function fill(tree: string): void {
  mkdirSync(join(tree, 'etc'), { recursive: true })
  writeFileSync(join(tree, 'etc/os-release'), 'ID=test\n')
}
