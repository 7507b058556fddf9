/** The verbs that look into disk images and mount them. */
import { execa } from 'execa'
import { readFileSync, realpathSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ImageReport } from '../../../src/runtime/inspect-image.ts'
import {
  commonTypes,
  makeBusyboxTree,
  makeDirectory,
  makeDisk,
  makeFileSystem,
  types,
} from '../../fixtures/disk-image.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks('root', 'loop devices', 'program:sfdisk', 'program:busybox')

describe.skipIf(missing)('a disk image', () => {
  let work: TemporaryDirectory
  let machines: string
  let image: string
  let before: Set<string>

  beforeAll(async () => {
    work = await temporaryDirectory()
    before = await leftOvers({ directories: [work.path] })
    machines = join(work.path, 'machines')
    await mkdir(machines)
    const tree = await makeBusyboxTree(join(work.path, 'tree'))
    await writeFile(join(tree, 'etc/hostname'), 'tiny\n')
    const [root, home] = ['root.fs', 'home.fs'].map((name) => join(work.path, name)) as [
      string,
      string,
    ]
    await makeFileSystem('ext4', tree, root, 16)
    const files = await makeDirectory(join(work.path, 'home'), { 'is-home': '' })
    await makeFileSystem('squashfs', files, home, 1)
    image = await makeDisk(join(machines, 'tiny.raw'), 'gpt', [
      { type: types.root, content: root, sizeMiB: 16, name: 'tiny_\u001b[31m1' },
      { type: commonTypes.home, content: home, sizeMiB: 1, flags: 'GUID:60' },
      { type: commonTypes.swap, sizeMiB: 1 },
    ])
  })

  afterAll(async () => {
    await work[Symbol.asyncDispose]()
  })

  const run = (...args: readonly string[]) => {
    const [program, ...words] = tsnspawnBuild(`--machines-dir=${machines}`, ...args)
    return execa(program, words, { reject: false, stdin: 'ignore' })
  }

  test('is told of: its partitions, where they go, and what system it is', async () => {
    const { stdout } = await run('--json', 'dissect', 'tiny')
    const { value } = JSON.parse(stdout) as { value: ImageReport }
    expect(value).toMatchObject({
      ...{ path: image, table: 'gpt' },
      inside: { hostname: 'tiny', osRelease: { ID: 'tiny' } },
      partitions: [
        { number: 1, designator: 'root', content: 'ext4', mountPoint: '/', protection: 'none' },
        { number: 2, designator: 'home', content: 'squashfs', mountPoint: '/home', readOnly: true },
        { number: 3, designator: 'swap' },
      ],
    })
    const { stdout: text } = await run('dissect', image)
    expect(text).toMatch(/OS: Tiny 1$/m)
    expect(text).toMatch(/^ 2 home +- +- +1\.0M squashfs none +read-only \/home$/m)
    // Whoever named the partition does not speak to our terminal.
    expect(text).not.toContain('\u001b')
    const forbidden = await run('dissect', image, '--image-policy=root=verity')
    expect(forbidden.stdout).toContain('the policy forbids this image')
    const status = await run('image-status', 'tiny')
    expect(status.stdout).toMatch(/OS: Tiny 1$/m)
  })

  test('is mounted whole, and taken away with its devices', async () => {
    const place = join(work.path, 'mounted')
    await mkdir(place)
    const bytes = readFileSync(image)
    expect(await run('mount', 'tiny', place)).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await readdir(join(place, 'home'))).toEqual(['is-home'])
    await expect(writeFile(join(place, 'x'), '')).rejects.toMatchObject({ code: 'EROFS' })
    expect(await run('umount', place)).toMatchObject({ exitCode: 0, stderr: '' })
    expect(readFileSync(image).equals(bytes)).toBe(true)

    expect(await run('mount', '--read-write', image, place)).toMatchObject({ exitCode: 0 })
    await writeFile(join(place, 'root/new'), 'new')
    const held = await run('umount', place).then(({ exitCode }) => exitCode)
    expect(held).toBe(0)
    expect((await run('mount', image, place)).exitCode).toBe(0)
    expect(readFileSync(join(place, 'root/new'), 'utf8')).toBe('new')
    expect((await run('umount', place)).exitCode).toBe(0)
    expect((await execa('losetup', ['-j', realpathSync(image)])).stdout).toBe('')
  })

  test('is refused where it cannot be, and nothing stays', async () => {
    const nowhere = join(work.path, 'nowhere')
    for (const [words, said] of [
      [['mount', 'tiny', nowhere], 'there is no directory'],
      [['mount', 'other', work.path], 'there is no image for machine other'],
      [['mount', '--image-policy=~', 'tiny', machines], 'the policy forbids'],
      [['umount', machines], 'no disk image is mounted'],
      [['umount', '/proc'], 'no disk image is mounted'],
      [['umount', nowhere], 'there is no directory'],
      [['dissect', machines], 'neither a file nor a block device'],
    ] as const) {
      const { exitCode, stderr } = await run(...words)
      expect(stderr).toContain(said)
      expect(exitCode).not.toBe(0)
    }
    expect(await newLeftOvers(before, { directories: [work.path] })).toEqual([])
  })
})
