/** Real qcow2 images, made and read by QEMU's own tool. */
import { execa } from 'execa'
import { closeSync, openSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { convertQcow2 } from '../../../src/transfer/disk/convert-qcow2.ts'
import { randomBytes, seededRandom } from '../../fixtures/random.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const qemuImg = (...args: string[]) => execa('qemu-img', args)

async function convert(source: string, target: string): Promise<void> {
  const fd = openSync(source, 'r')
  try {
    await convertQcow2(fd, target)
  } finally {
    closeSync(fd)
  }
}

describe.skipIf(lacks('program:qemu-img', 'program:qemu-io'))('an image of qemu-img', () => {
  let dir: TemporaryDirectory
  let raw: string
  beforeAll(async () => {
    dir = await temporaryDirectory()
    raw = join(dir.path, 'raw')
    // Text that compresses, noise that does not, and much nothing; a length that no cluster size divides.
    const disk = Buffer.alloc(9_000_448)
    const random = seededRandom(11)
    for (let i = 0; i < 30; i++) {
      const at = random(disk.length - 70_000)
      if (i % 3 === 0) randomBytes(i + 1, 40_000).copy(disk, at)
      else disk.fill(`line ${i} of a log\n`, at, at + random(70_000))
    }
    disk.write('the end', disk.length - 10)
    await writeFile(raw, disk)
  })
  afterAll(() => dir[Symbol.asyncDispose]())

  const kinds: readonly (readonly [string, readonly string[]])[] = [
    ['of version 3', []],
    ['of version 2', ['-o', 'compat=0.10']],
    ['with compressed clusters', ['-c']],
    ['of version 2 with compressed clusters', ['-c', '-o', 'compat=0.10']],
    ['with small clusters', ['-o', 'cluster_size=512']],
    ['with small compressed clusters', ['-c', '-o', 'cluster_size=512']],
    ['with large clusters', ['-o', 'cluster_size=2M']],
    ['with large compressed clusters', ['-c', '-o', 'cluster_size=2M']],
    ['with preallocated tables', ['-o', 'preallocation=metadata']],
  ]

  it.each(kinds)('%s gives the same disk as with QEMU', async (name, options) => {
    const image = join(dir.path, `${name}.qcow2`)
    const disk = join(dir.path, `${name}.raw`)
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, image)
    await convert(image, disk)
    await execa('cmp', [raw, disk])
    expect(statSync(disk).blocks * 512).toBeLessThan(statSync(raw).blocks * 512)
  })

  it('that a machine wrote to, zeroed and discarded parts of, and snapshotted, gives its present state', async () => {
    const image = join(dir.path, 'lived.qcow2')
    await qemuImg('create', '-q', '-f', 'qcow2', image, '200M')
    const io = (...commands: string[]) =>
      execa('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), image])
    await io('write -P 1 10M 3M', 'write -P 2 199M 1M')
    await qemuImg('snapshot', '-c', 'before', image)
    await io('write -P 3 11M 10k', 'write -z 12M 512k', 'discard 10M 64k', 'write -P 4 100M 1k')
    const [ours, theirs] = [join(dir.path, 'ours'), join(dir.path, 'theirs')]
    await convert(image, ours)
    await qemuImg('convert', '-O', 'raw', image, theirs)
    await execa('cmp', [theirs, ours])
    expect(statSync(ours).size).toBe(200 << 20)
    expect(statSync(ours).blocks * 512).toBeLessThan(8 << 20)
  })

  it.each([
    ['with subclusters', ['-o', 'extended_l2=on'], /subclusters/],
    ['compressed with zstd', ['-c', '-o', 'compression_type=zstd'], /zlib/],
    ['with its data in another file', ['-o', 'data_file=DIR/data'], /another file/],
    ['that builds on another', ['-B', 'DIR/raw', '-F', 'raw'], /differences/],
  ] as const)('%s is refused in words', async (name, options, message) => {
    const image = join(dir.path, `${name}.qcow2`)
    const filled = options.map((option) => option.replace('DIR', dir.path))
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...filled, raw, image)
    await expect(convert(image, join(dir.path, 'none'))).rejects.toMatchObject({
      code: 'UNSUPPORTED_QCOW2',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/./),
    })
    expect(statSync(join(dir.path, 'none'), { throwIfNoEntry: false })).toBeUndefined()
  })
})
