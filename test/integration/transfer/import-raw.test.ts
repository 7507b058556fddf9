import { execa, type Options } from 'execa'
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lockImage } from '../../../src/images/lock.ts'
import { noise } from '../../fixtures/noise.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'
import { sharesAllBlocks } from '../images/shared-blocks.ts'
import { buildProgram, fromDescriptor } from './build-program.ts'

const MiB = 1 << 20
const allocated = (path: string) => statSync(path).blocks * 512

describe.skipIf(lacks('root', 'program:qemu-img', 'program:zstd'))('import-raw', () => {
  let dir: TemporaryDirectory
  /** 24 MiB, of which 1 MiB is not empty. */
  let raw: string
  const file = (name: string) => join(dir.path, name)

  beforeAll(async () => {
    dir = await temporaryDirectory()
    raw = file('disk')
    const disk = Buffer.alloc(24 * MiB)
    noise(MiB).copy(disk, 10 * MiB + 100)
    disk.write('the end', disk.length - 7)
    // Written in full: the holes of the image are made by the import.
    writeFileSync(raw, disk)
    execFileSync('cp', ['--sparse=always', raw, file('sparse.img')])
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, file('a.qcow2')])
    execFileSync('xz', ['-k', '-0', file('a.qcow2')])
    const packers = { gz: 'gzip -1', bz2: 'bzip2', xz: 'xz -0', zst: 'zstd -q' }
    for (const [ending, packer] of Object.entries(packers))
      execFileSync('sh', ['-c', `${packer} -c < "$1" > "$1.raw.${ending}"`, 'sh', raw])
  })
  afterAll(() => dir[Symbol.asyncDispose]())

  it.each([
    ['disk', 'disk'],
    ['sparse.img', 'sparse'],
    ['disk.raw.gz', 'disk'],
    ['disk.raw.bz2', 'disk'],
    ['disk.raw.xz', 'disk'],
    ['disk.raw.zst', 'disk'],
    ['a.qcow2', 'a'],
    ['a.qcow2.xz', 'a'],
  ])('of %s makes the image %s, with its holes', async (source, name) => {
    await using build = await buildProgram()
    const { status, stdout, stderr } = await build.run(['import-raw', file(source)])
    expect(stderr).toBe(`Importing '${file(source)}', saving as '${name}'.`)
    expect(stdout).toBe(`Created new local image '${name}'.`)
    expect(status).toBe(0)
    expect(build.entries()).toEqual([`${name}.raw`])
    const image = join(build.machines, `${name}.raw`)
    await execa('cmp', [raw, image])
    expect(allocated(image)).toBeLessThan(MiB + 64 * 1024)
    expect(statSync(image).mode & 0o777).toBe(0o664 & ~process.umask())
  })

  it('reads a pipe, a redirected file and a named pipe', async () => {
    await using build = await buildProgram()
    const fifo = join(build.path, 'fifo')
    execFileSync('mkfifo', [fifo])
    const packed = file('disk.raw.zst')
    const redirected = openSync(packed, 'r')
    try {
      expect(
        await build.run(['import-raw', '-', 'pipe'], { inputFile: packed, stdin: 'pipe' }),
      ).toMatchObject({ status: 0 })
      expect(
        await build.run(['import-raw', '', 'file'], { stdin: fromDescriptor(redirected) }),
      ).toMatchObject({
        status: 0,
      })
    } finally {
      closeSync(redirected)
    }
    const reading = build.run(['import-raw', fifo])
    await execa('cp', [packed, fifo])
    expect(await reading).toMatchObject({ status: 0, stdout: "Created new local image 'fifo'." })
    for (const name of ['pipe', 'file', 'fifo'])
      await execa('cmp', [raw, join(build.machines, `${name}.raw`)])
  })

  it('reads a redirected file from where it stands', async () => {
    await using build = await buildProgram()
    const both = join(build.path, 'both')
    writeFileSync(both, 'a line\nthe disk')
    const stdin = openSync(both, 'r')
    try {
      readSync(stdin, Buffer.alloc(7))
      expect(
        await build.run(['import-raw', '-', 'rest'], { stdin: fromDescriptor(stdin) }),
      ).toMatchObject({ status: 0 })
    } finally {
      closeSync(stdin)
    }
    expect(readFileSync(join(build.machines, 'rest.raw'), 'utf8')).toBe('the disk')
  })

  it('replaces an image with --force, unless somebody uses it', async () => {
    await using build = await buildProgram()
    const image = join(build.machines, 'disk.raw')
    writeFileSync(image, 'old')
    expect(await build.run(['import-raw', raw])).toMatchObject({ status: 2 })
    const lock = lockImage(image, 'shared')
    expect(await build.run(['import-raw', '--force', raw])).toMatchObject({
      status: 9,
      stderr: expect.stringMatching(/is busy/),
    })
    lock.release()
    expect(readFileSync(image, 'utf8')).toBe('old')
    expect(await build.run(['import-raw', '--force', raw])).toMatchObject({ status: 0 })
    await execa('cmp', [raw, image])
    expect(build.entries()).toEqual(['disk.raw'])
  })

  it('marks the image read-only when asked to', async () => {
    await using build = await buildProgram()
    await build.run(['import-raw', '--read-only', raw, 'fixed'])
    expect(statSync(join(build.machines, 'fixed.raw')).mode & 0o222).toBe(0)
  })

  it('of another class has other names and another directory', async () => {
    await using build = await buildProgram()
    const root = join(build.path, 'extensions')
    const args = ['--class=sysext', `--image-root=${root}`, raw, 'with_underscore']
    expect(await build.run(['import-raw', ...args])).toMatchObject({ status: 0 })
    await execa('cmp', [raw, join(root, 'with_underscore.raw')])
    expect(build.entries()).toEqual([])
  })

  const refusals: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ['a name that no machine has', ['FILE', 'a_b'], 2, /"a_b" cannot be the name of a machine/],
    ['standard input without a name', ['-'], 2, /need either path or local name/],
    ['a name that is a dash', ['FILE', '-'], 2, /need either path or local name/],
    ['a file that is not there', ['/nowhere/disk.raw'], 2, /no such file/],
    ['a directory', ['/usr'], 2, /import-fs/],
    ['a device', ['/dev/null', 'null'], 2, /neither a file nor a pipe/],
    ['an empty file', ['EMPTY'], 2, /is empty/],
    ['a class that there is not', ['--class=odd', 'FILE'], 2, /no class odd/],
    ['a compressed file that is cut off', ['CUT'], 5, /decompress|damaged|early|ends/],
    ['a qcow2 image that is cut off', ['CUTQCOW2'], 5, /qcow2 image is damaged/],
    ['a qcow2 image on top of another', ['OVERLAY'], 5, /differences to another image/],
  ]

  it.each(refusals)('refuses %s, and leaves nothing', async (_, args, expected, message) => {
    await using build = await buildProgram()
    const special: Record<string, () => string> = {
      FILE: () => raw,
      EMPTY: () => writeInto(build.path, 'empty.raw', Buffer.alloc(0)),
      CUT: () =>
        writeInto(build.path, 'cut.raw.xz', readFileSync(file('disk.raw.xz')).subarray(0, -5000)),
      CUTQCOW2: () =>
        writeInto(build.path, 'cut.qcow2', readFileSync(file('a.qcow2')).subarray(0, -70_000)),
      OVERLAY: () => {
        const path = join(build.path, 'overlay.qcow2')
        execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', raw, '-F', 'raw', path])
        return path
      },
    }
    const { status, stderr } = await build.run([
      'import-raw',
      ...args.map((arg) => special[arg]?.() ?? arg),
    ])
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/bug/)
    expect(status).toBe(expected)
    expect(build.entries()).toEqual([])
  })

  it.skipIf(lacks('loop devices'))(
    'on a full file system leaves nothing, and says where room is needed',
    async () => {
      await using place = await temporaryDirectory()
      using fs = loopFileSystem('ext4', place.path)
      const machines = join(fs.path, 'machines')
      mkdirSync(machines)
      await using build = await buildProgram(machines)
      const large = writeInto(place.path, 'large.raw', noise(80 * MiB))
      for (const source of [large, '-']) {
        const options: Options = source === '-' ? { inputFile: large, stdin: 'pipe' } : {}
        const { status, stderr } = await build.run(['import-raw', source, 'large'], options)
        expect(stderr).toContain(`make room in ${machines}`)
        expect(status).toBe(7)
        expect(build.entries()).toEqual([])
      }
    },
  )

  it.skipIf(lacks('loop devices', 'btrfs'))(
    'shares the blocks of a plain file on btrfs',
    async () => {
      await using place = await temporaryDirectory()
      using fs = loopFileSystem('btrfs', place.path)
      const machines = join(fs.path, 'machines')
      mkdirSync(machines)
      await using build = await buildProgram(machines)
      // Two of them would not fit.
      const large = writeInto(fs.path, 'large.raw', noise(60 * MiB))
      expect(await build.run(['import-raw', large])).toMatchObject({ status: 0 })
      await execa('cmp', [large, join(machines, 'large.raw')])
    },
  )

  it.skipIf(lacks('loop devices', 'btrfs', 'program:filefrag'))(
    'makes a disk on btrfs that is written in place, and whose clones share its blocks',
    async () => {
      await using place = await temporaryDirectory()
      using fs = loopFileSystem('btrfs', place.path)
      const machines = join(fs.path, 'machines')
      mkdirSync(machines)
      await using build = await buildProgram(machines)
      expect(await build.run(['import-raw', file('disk.raw.zst')])).toMatchObject({ status: 0 })
      const [disk, copy] = ['disk', 'copy'].map((name) => join(machines, `${name}.raw`))
      expect(execFileSync('lsattr', [disk!], { encoding: 'utf8' })).toMatch(/^[-m]*C/)
      expect(sharesAllBlocks(disk!)).toBe(false)
      expect(await build.run(['clone', 'disk', 'copy'])).toMatchObject({ status: 0 })
      expect(sharesAllBlocks(copy!)).toBe(true)
      await execa('cmp', [raw, copy!])
    },
  )
})

function writeInto(directory: string, name: string, contents: Buffer): string {
  const path = join(directory, name)
  writeFileSync(path, contents)
  return path
}
