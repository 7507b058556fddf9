import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { noise } from '../../fixtures/noise.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'
import { buildProgram, fromDescriptor, type BuildProgram } from './build-program.ts'

const MiB = 1 << 20
const allocated = (path: string) => statSync(path).blocks * 512

/** An image of 16 MiB, of which 1 MiB is not a hole. */
function makeImage(build: BuildProgram): string {
  const image = join(build.machines, 'disk.raw')
  const fd = openSync(image, 'w')
  writeSync(fd, noise(MiB), 0, MiB, 5 * MiB)
  closeSync(fd)
  execFileSync('truncate', ['-s', '16M', image])
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'hello', image])
  utimesSync(image, 1e9, 1e9 + 0.5)
  return image
}

describe.skipIf(lacks('root', 'program:setfattr'))('export-raw', () => {
  it('to a file keeps holes, times and attributes', async () => {
    await using build = await buildProgram()
    const image = makeImage(build)
    const out = join(build.path, 'out.raw')
    expect(await build.run(['export-raw', 'disk', out])).toMatchObject({
      status: 0,
      stderr: `Exporting '${image}', saving to '${out}' with compression 'uncompressed'.`,
      stdout: `Exported 'disk' to '${out}', 16.0M.`,
    })
    await execa('cmp', [image, out])
    expect(allocated(out)).toBeLessThanOrEqual(allocated(image))
    expect(statSync(out).mtimeMs).toBe(statSync(image).mtimeMs)
    expect(statSync(out).mode & 0o777).toBe(0o666 & ~process.umask())
    const note = ['-n', 'user.note', '--only-values', out]
    expect(execFileSync('getfattr', ['--absolute-names', ...note], { encoding: 'utf8' })).toBe(
      'hello',
    )
  })

  it.each([
    ['gz', 'gzip'],
    ['bz2', 'bzip2'],
    ['xz', 'xz'],
    ['zst', 'zstd'],
  ])(
    'to a file called .%s compresses it with %s, and import-raw reads it',
    async (ending, program) => {
      await using build = await buildProgram()
      const image = makeImage(build)
      const out = join(build.path, `out.raw.${ending}`)
      expect(await build.run(['export-raw', 'disk', out])).toMatchObject({ status: 0 })
      execFileSync('sh', ['-c', `${program} -dc < "$1" | cmp - "$2"`, 'sh', out, image])
      expect(await build.run(['import-raw', out])).toMatchObject({ status: 0 })
      await execa('cmp', [image, join(build.machines, 'out.raw')])
      expect(allocated(join(build.machines, 'out.raw'))).toBeLessThanOrEqual(allocated(image))
    },
  )

  it('to standard output is the whole disk in a pipe, and has holes in an empty file', async () => {
    await using build = await buildProgram()
    const image = makeImage(build)
    const piped = await build.start(['export-raw', 'disk'], {
      encoding: 'buffer',
      stripFinalNewline: false,
    })
    expect(Buffer.compare(piped.stdout as unknown as Buffer, readFileSync(image))).toBe(0)
    const out = join(build.path, 'out')
    const fd = openSync(out, 'w')
    const redirected = { stdout: fromDescriptor(fd) as never }
    expect(await build.run(['export-raw', 'disk', '-'], redirected)).toMatchObject({ status: 0 })
    await execa('cmp', [image, out])
    expect(allocated(out)).toBeLessThanOrEqual(allocated(image))
    // Behind what is there already no hole can be left.
    expect(await build.run(['export-raw', 'disk'], redirected)).toMatchObject({ status: 0 })
    closeSync(fd)
    expect(
      Buffer.compare(readFileSync(out), Buffer.concat([readFileSync(image), readFileSync(image)])),
    ).toBe(0)
  })

  it('ends with an error when nobody reads any more', async () => {
    await using build = await buildProgram()
    makeImage(build)
    const running = build.start(['export-raw', 'disk'], { buffer: { stdout: false, stderr: true } })
    running.stdout?.once('data', () => running.stdout?.destroy())
    const { exitCode, stderr } = await running
    expect(stderr).toMatch(/cannot write standard output.*EPIPE/)
    expect(exitCode).toBeGreaterThan(0)
  })

  it('replaces a file, by whatever link it is reached', async () => {
    await using build = await buildProgram()
    const image = makeImage(build)
    const [out, link] = [join(build.path, 'out'), join(build.path, 'link')]
    writeFileSync(out, 'old')
    symlinkSync(out, link)
    expect(await build.run(['export-raw', 'disk', link])).toMatchObject({ status: 0 })
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    await execa('cmp', [image, out])
  })

  it('refuses trees', async () => {
    await using build = await buildProgram()
    mkdirSync(join(build.machines, 'tree'))
    expect(await build.run(['export-raw', 'tree'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/tree is a tree[\s\S]*export-tar/),
    })
  })

  it.skipIf(lacks('loop devices'))('to a full file system leaves nothing there', async () => {
    await using place = await temporaryDirectory()
    using fs = loopFileSystem('ext4', place.path)
    await using build = await buildProgram()
    writeFileSync(join(build.machines, 'large.raw'), noise(80 * MiB))
    const before = readdirSync(fs.path)
    for (const name of ['large.raw', 'large.raw.gz']) {
      const { status, stderr } = await build.run(['export-raw', 'large', join(fs.path, name)])
      expect(stderr).toMatch(/cannot write .*ENOSPC[\s\S]*make room/)
      expect(status).toBe(7)
      expect(readdirSync(fs.path)).toEqual(before)
    }
  })

  it.skipIf(lacks('loop devices', 'btrfs'))(
    'on btrfs takes the disk as it was when it began',
    async () => {
      await using place = await temporaryDirectory()
      using fs = loopFileSystem('btrfs', place.path)
      await using build = await buildProgram(fs.path)
      const image = join(fs.path, 'disk.raw')
      for (const attribute of ['-C', '+C']) {
        writeFileSync(image, '')
        execFileSync('chattr', [attribute, image])
        writeFileSync(image, noise(4 * MiB))
        const fifo = join(build.path, `fifo${attribute}`)
        execFileSync('mkfifo', [fifo])
        const exporting = build.run(['export-raw', 'disk', fifo])
        const [reader, begun] = [openSync(fifo, 'r'), Buffer.alloc(512)]
        expect(readSync(reader, begun)).toBe(512)
        const writer = openSync(image, 'r+')
        writeSync(writer, 'changed', 4 * MiB - 7)
        closeSync(writer)
        const rest = await execa('cat', {
          stdin: fromDescriptor(reader),
          encoding: 'buffer',
          stripFinalNewline: false,
        })
        closeSync(reader)
        expect(await exporting).toMatchObject({ status: 0 })
        expect(Buffer.compare(Buffer.concat([begun, rest.stdout]), noise(4 * MiB))).toBe(0)
      }
      expect(build.entries()).toEqual(['disk.raw'])
    },
  )
})
