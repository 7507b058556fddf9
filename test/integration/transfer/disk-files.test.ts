/** Disk images on file systems that share blocks, and on one that is full. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { convertQcow2 } from '../../../src/transfer/disk/convert-qcow2.ts'
import { copyDisk, writeDisk } from '../../../src/transfer/disk/write.ts'
import { makeQcow2 } from '../../fixtures/qcow2.ts'
import { noise } from '../../fixtures/noise.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'

const MiB = 1 << 20
const data = noise(4 * MiB)
async function* stream(times = 1) {
  for (let i = 0; i < times; i++) yield data
}
const isInPlace = (path: string) =>
  (execFileSync('lsattr', [path], { encoding: 'utf8' }).split(' ')[0] as string).includes('C')
const freeBytes = (path: string) => {
  execFileSync('sync', ['-f', path])
  const { bfree, bsize } = statfsSync(path)
  return bfree * bsize
}

/** @returns what the copy takes on the file system */
async function copy(source: string, target: string): Promise<number> {
  const before = freeBytes(join(target, '..'))
  const fd = openSync(source, 'r')
  try {
    fsyncSync(fd)
    await copyDisk(fd, target)
  } finally {
    closeSync(fd)
  }
  expect(readFileSync(target).equals(readFileSync(source))).toBe(true)
  return before - freeBytes(join(target, '..'))
}

describe.skipIf(lacks('root', 'loop devices', 'btrfs'))('on btrfs a disk image', () => {
  it('is written in place, and its copies share its blocks all the same', async () => {
    await using dir = await temporaryDirectory()
    using fs = loopFileSystem('btrfs', dir.path)
    const written = join(fs.path, 'written')
    await writeDisk(stream(), written)
    expect(isInPlace(written)).toBe(true)
    const copied = join(fs.path, 'copied')
    expect(await copy(written, copied)).toBeLessThan(MiB)
    expect(isInPlace(copied)).toBe(true)
    const fd = openSync(join(dir.path, 'qcow2'), 'w+')
    writeFileSync(fd, makeQcow2([Buffer.alloc(512, 'a')]))
    await convertQcow2(fd, join(fs.path, 'converted'))
    closeSync(fd)
    expect(isInPlace(join(fs.path, 'converted'))).toBe(true)
  })

  it('is a copy that shares the blocks of an ordinary file', async () => {
    await using dir = await temporaryDirectory()
    using fs = loopFileSystem('btrfs', dir.path)
    writeFileSync(join(fs.path, 'ordinary'), data)
    expect(await copy(join(fs.path, 'ordinary'), join(fs.path, 'copy'))).toBeLessThan(MiB)
    expect(isInPlace(join(fs.path, 'copy'))).toBe(false)
  })
})

describe.skipIf(lacks('root', 'loop devices'))('on ext4 a disk image', () => {
  it('is told to be too much for a full file system, with what to do', async () => {
    await using dir = await temporaryDirectory()
    using fs = loopFileSystem('ext4', dir.path)
    await expect(writeDisk(stream(20), join(fs.path, 'disk'))).rejects.toMatchObject({
      code: 'ENOSPC',
      message: 'cannot write the disk image',
      hint: expect.stringMatching(/room/),
    })
  })

  it('is copied with its holes', async () => {
    await using dir = await temporaryDirectory()
    using fs = loopFileSystem('ext4', dir.path)
    const source = join(fs.path, 'source')
    writeFileSync(source, data)
    execFileSync('truncate', ['-s', '40M', source])
    expect(await copy(source, join(fs.path, 'copy'))).toBeLessThan(5 * MiB)
    expect(statSync(join(fs.path, 'copy')).size).toBe(40 * MiB)
  })
})
