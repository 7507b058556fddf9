import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import {
  checkDiskForm,
  makeDiskImage,
  type DiskForm,
  type DiskImage,
} from '../../../../src/images/disk/disk-image.ts'
import { fileSystems, needPrograms } from '../../../../src/images/disk/file-system.ts'
import { readGpt, type Partition } from '../../../../src/images/disk/gpt.ts'
import { dashed } from '../../../../src/images/disk/guid.ts'
import { GROW_FILE_SYSTEM, READ_ONLY } from '../../../../src/images/disk/partition-types.ts'
import type { LogEvent } from '../../../../src/log.ts'
import { lacks } from '../../../fixtures/requires.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { makeOddTree, treeListing } from '../tree-listing.ts'

const epoch = 1_700_000_000
const shell = (script: string, ...args: readonly string[]): string =>
  execFileSync('sh', ['-ec', script, 'sh', ...args], { encoding: 'utf8' })

/** What all these file systems can hold: no ACLs, whole seconds, no line breaks in names. */
function makePlainTree(tree: string): void {
  makeOddTree(tree)
  shell(
    `cd "$1"; rm new*; setfacl -R -b .
    mkdir 'a "b" <12>'; echo x > 'a "b" <12>/<13>'; echo y > 'a "b" <12>/ z'
    ln -s "$(head -c 200 /dev/zero | tr '\\0' l)" long-link
    touch -d '2040-05-06 07:08:09' deep
    find . -newermt '2020-01-01' ! -newermt '2040-01-01' -exec touch -h -d '2020-02-03 04:05:06' {} +
    touch -h -d '2001-02-03 04:05:06' deep/symlink usr/bin/program`,
    tree,
  )
}

interface Made extends DiskImage {
  readonly path: string
  readonly warnings: readonly string[]
}

async function makeImage(
  tree: string,
  path: string,
  form: Partial<DiskForm> & Pick<DiskForm, 'fileSystem'>,
  sourceDateEpoch?: number,
): Promise<Made> {
  const events: LogEvent[] = []
  const workDirectory = `${path}.work`
  mkdirSync(workDirectory)
  const made = await makeDiskImage({
    form: { verity: false, ...form },
    architecture: 'x86-64',
    tree,
    path,
    workDirectory,
    sourceDateEpoch,
    seed: 'test',
    log: (event) => events.push(event),
  })
  // Nothing of it is left: it would take as much space as the image.
  rmdirSync(workDirectory)
  return {
    ...made,
    path,
    warnings: events.flatMap((event) => (event.kind === 'warning' ? [event.text] : [])),
  }
}

function partitionsOf(path: string): readonly Partition[] {
  const fd = openSync(path, 'r')
  try {
    const read = (offset: number, length: number) => {
      const bytes = Buffer.alloc(length)
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset))
    }
    return readGpt(read, statSync(path).size)!.partitions
  } finally {
    closeSync(fd)
  }
}

/** Mounts a partition read-only for as long as its scope lasts. */
function mounted(
  path: string,
  { firstSector, lastSector }: Partition,
): Disposable & { at: string } {
  const at = `${path}.mounted`
  mkdirSync(at)
  const range = `offset=${firstSector * 512},sizelimit=${(lastSector - firstSector + 1) * 512}`
  execFileSync('mount', ['-o', `loop,ro,${range}`, path, at])
  return { at, [Symbol.dispose]: () => execFileSync('umount', [at]) }
}

/** A file system whose directories tell their entries in another order than those on disk do. */
function copyElsewhere(tree: string, at: string): Disposable & { tree: string } {
  mkdirSync(at)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64M', 'tmpfs', at])
  const copy = join(at, 'tree')
  mkdirSync(copy)
  const attributes = `--xattrs --xattrs-include='*' --acls`
  shell(
    `cd "$1"; find . -print0 | sort -zr | tar --no-recursion ${attributes} --null -T - -cf - | tar ${attributes} --delay-directory-restore -xpf - -C "$2"`,
    tree,
    copy,
  )
  return { tree: copy, [Symbol.dispose]: () => execFileSync('umount', [at]) }
}

const needs = [
  'root',
  'loop devices',
  'program:setfattr',
  'program:setfacl',
  'program:setcap',
] as const

describe.skipIf(lacks(...needs))('disk images', () => {
  for (const fileSystem of fileSystems) {
    const own = fileSystem === 'ext4' ? (['program:debugfs'] as const) : ([fileSystem] as const)
    test.skipIf(lacks(...own))(`${fileSystem} holds what the tree holds`, async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makePlainTree(tree)
      // ext4 has one, and mkfs.erofs leaves out every other.
      if (fileSystem === 'ext4') mkdirSync(join(tree, 'lost+found'), 0o700)
      const { path } = await makeImage(tree, join(directory.path, 'disk'), { fileSystem })
      const [root, ...others] = partitionsOf(path)
      expect(others).toEqual([])
      expect(root?.flags).toBe(
        ['ext4', 'btrfs'].includes(fileSystem) ? GROW_FILE_SYSTEM : READ_ONLY,
      )
      using mount = mounted(path, root!)
      expect(treeListing(mount.at)).toBe(treeListing(tree))
      expect(statSync(join(mount.at, 'disk')).rdev).toBe(statSync(join(tree, 'disk')).rdev)
    })
  }

  for (const fileSystem of ['ext4', 'btrfs', 'erofs'] as const) {
    const own = fileSystem === 'ext4' ? (['program:debugfs'] as const) : ([fileSystem] as const)
    test.skipIf(lacks(...own))(
      `${fileSystem} holds ACLs, and times to the nanosecond`,
      async () => {
        await using directory = await temporaryDirectory()
        const tree = join(directory.path, 'tree')
        makeOddTree(tree)
        shell('cd "$1"; rm new*; touch -h -d "1965-01-02 03:04:05.6" dangling', tree)
        if (fileSystem === 'ext4') mkdirSync(join(tree, 'lost+found'), 0o700)
        const made = await makeImage(tree, join(directory.path, 'disk'), { fileSystem })
        expect(made.warnings).toEqual([])
        using mount = mounted(made.path, partitionsOf(made.path)[0]!)
        expect(treeListing(mount.at)).toBe(treeListing(tree))
      },
    )
  }

  test.skipIf(lacks('squashfs'))(
    'squashfs, which has no ACLs, says how many are left out',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makeOddTree(tree)
      const made = await makeImage(tree, join(directory.path, 'disk'), { fileSystem: 'squashfs' })
      expect(made.warnings).toEqual(['squashfs has no ACLs: 3 are left out, the first of ./acl'])
    },
  )

  test.skipIf(lacks('program:debugfs', 'squashfs', 'erofs', 'program:veritysetup'))(
    'the same tree gives the same bytes at another place, in another order and at another time',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makePlainTree(tree)
      // Attributes of one file come in an order that depends on the kind of file system, and mkfs.erofs keeps it.
      shell('cd "$1"; setfattr -x user.note acl', tree)
      using elsewhere = copyElsewhere(tree, join(directory.path, 'elsewhere'))
      expect(treeListing(elsewhere.tree)).toBe(treeListing(tree))
      const forms = (['ext4', 'squashfs', 'erofs'] as const).map((fileSystem) => ({
        fileSystem,
        verity: fileSystem === 'ext4',
      }))
      const writable = { fileSystem: 'ext4', verity: false } as const
      forms.push(writable)
      const nameOf = ({ fileSystem, verity }: DiskForm) => `${fileSystem}-${verity}`
      for (const form of forms)
        await makeImage(tree, join(directory.path, `one-${nameOf(form)}`), form, epoch)
      // File systems count in whole seconds.
      await sleep(1100)
      for (const form of forms) {
        const path = join(directory.path, `other-${nameOf(form)}`)
        await makeImage(elsewhere.tree, path, form, epoch)
        execFileSync('cmp', [join(directory.path, `one-${nameOf(form)}`), path])
      }
    },
    60_000,
  )

  test.skipIf(lacks('program:debugfs'))(
    'without a fixed time no two disks have the same identity',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      mkdirSync(tree)
      const ids = []
      for (const name of ['one', 'other']) {
        const { path } = await makeImage(tree, join(directory.path, name), { fileSystem: 'ext4' })
        ids.push(partitionsOf(path)[0]!.id)
      }
      expect(ids[0]).not.toBe(ids[1])
    },
  )

  for (const fileSystem of ['ext4', 'squashfs', 'erofs'] as const) {
    const own = fileSystem === 'ext4' ? (['program:debugfs'] as const) : ([fileSystem] as const)
    test.skipIf(lacks(...own, 'program:veritysetup'))(
      `veritysetup vouches for ${fileSystem} with verity, and finds one byte that was changed`,
      async () => {
        await using directory = await temporaryDirectory()
        const tree = join(directory.path, 'tree')
        makePlainTree(tree)
        const disk = join(directory.path, 'disk.raw')
        const { rootHash } = await makeImage(tree, disk, { fileSystem, verity: true })
        const partitions = partitionsOf(disk)
        expect(partitions.map(({ id }) => id)).toEqual([
          dashed(rootHash!.slice(0, 32)),
          dashed(rootHash!.slice(32)),
        ])
        expect(partitions.map(({ flags }) => flags)).toEqual([READ_ONLY, READ_ONLY])
        const [data, hashes] = partitions.map(({ firstSector, lastSector, number }) => {
          const part = `${disk}.${number}`
          const bytes = readFileSync(disk).subarray(firstSector * 512, (lastSector + 1) * 512)
          writeFileSync(part, bytes)
          return part
        }) as [string, string]
        const verify = () =>
          execFileSync('veritysetup', ['verify', data, hashes, rootHash!], { stdio: 'pipe' })
        verify()
        const bytes = readFileSync(data)
        bytes[3000] = (bytes[3000] as number) ^ 1
        writeFileSync(data, bytes)
        expect(verify).toThrow(/Verification|corrupted/i)
      },
    )
  }

  test.skipIf(lacks('program:debugfs', 'program:veritysetup', 'program:systemd-dissect'))(
    'systemd finds root and hashes on the disk by their types',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      shell(
        'mkdir -p "$1/usr/lib" "$1/etc" "$1/proc"; echo ID=test > "$1/usr/lib/os-release"; ln -s ../usr/lib/os-release "$1/etc/os-release"',
        tree,
      )
      const disk = join(directory.path, 'disk.raw')
      await makeImage(tree, disk, { fileSystem: 'ext4', verity: true })
      const told = JSON.parse(
        execFileSync('systemd-dissect', ['--json=short', disk], { encoding: 'utf8' })
          .split('\n')
          .at(-2)!,
      ) as { mounts: readonly Record<string, unknown>[] }
      expect(told.mounts).toMatchObject([
        { rw: 'ro', designator: 'root', fstype: 'ext4', architecture: 'x86-64', partno: 1 },
        { rw: 'ro', designator: 'root-verity', fstype: 'DM_verity_hash', partno: 2 },
      ])
    },
  )

  test.skipIf(lacks('program:debugfs', 'btrfs'))(
    'a size is that of the whole image, and must hold the tree',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makePlainTree(tree)
      const size = 400 << 20
      for (const fileSystem of ['ext4', 'btrfs'] as const) {
        const path = join(directory.path, fileSystem)
        expect(await makeImage(tree, path, { fileSystem, sizeBytes: size })).toMatchObject({
          sizeBytes: size,
        })
        const facts = statSync(path)
        expect(facts.size).toBe(size)
        expect(facts.blocks * 512).toBeLessThan(64 << 20)
        using mount = mounted(path, partitionsOf(path)[0]!)
        const room = Number(shell('df --output=avail -B1 "$1" | tail -n 1', mount.at))
        expect(room).toBeGreaterThan(size / 2)
      }
      await expect(
        makeImage(tree, join(directory.path, 'small'), { fileSystem: 'ext4', sizeBytes: 4 << 20 }),
      ).rejects.toMatchObject({
        code: 'ENOSPC',
        hint: expect.stringMatching(/^it takes about \d+M$/),
      })
    },
  )

  test.skipIf(lacks('program:debugfs', 'program:veritysetup'))(
    'a tree of many small files finds inodes and blocks enough where there are none to spare',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      shell(
        'mkdir -p "$1/a" "$1/b"; cd "$1/a"; seq -f "a-name-of-some-length-%g" 2500 | xargs touch; cd ../b; seq 500 | xargs mkdir',
        tree,
      )
      const disk = join(directory.path, 'disk')
      const { path, sizeBytes } = await makeImage(tree, disk, { fileSystem: 'ext4', verity: true })
      expect(sizeBytes).toBeLessThan(32 << 20)
      using mount = mounted(path, partitionsOf(path)[0]!)
      expect(Number(shell('ls "$1/a" "$1/b" | wc -l', mount.at))).toBe(3003)
    },
  )

  test.skipIf(lacks('program:debugfs'))('a name that ext4 cannot be given is refused', async () => {
    await using directory = await temporaryDirectory()
    const tree = join(directory.path, 'tree')
    makeOddTree(tree)
    await expect(
      makeImage(tree, join(directory.path, 'disk'), { fileSystem: 'ext4' }),
    ).rejects.toMatchObject({ code: 'EINVAL', subject: './new\\nline' })
  })

  test.skipIf(lacks('btrfs'))(
    'nothing stays mounted when the making of btrfs is canceled or fails',
    async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makePlainTree(tree)
      const path = join(directory.path, 'disk')
      await expect(
        makeImage(join(directory.path, 'not-there'), path, { fileSystem: 'btrfs' }),
      ).rejects.toBeInstanceOf(Error)
      expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(directory.path)
      expect(execFileSync('losetup', ['--list'], { encoding: 'utf8' })).not.toContain(
        directory.path,
      )
    },
  )
})

describe('what cannot be asked of a disk', () => {
  const form = (more: Partial<DiskForm>): DiskForm => ({
    fileSystem: 'ext4',
    verity: false,
    ...more,
  })
  const cases: readonly (readonly [string, DiskForm, number | undefined])[] = [
    ['verity on btrfs', form({ fileSystem: 'btrfs', verity: true }), undefined],
    ['btrfs that is the same twice', form({ fileSystem: 'btrfs' }), epoch],
    ['a size with verity', form({ verity: true, sizeBytes: 1 << 30 }), undefined],
    ['a size of squashfs', form({ fileSystem: 'squashfs', sizeBytes: 1 << 30 }), undefined],
    ['more than 16 TiB', form({ sizeBytes: 2 ** 45 }), undefined],
  ]
  test.each(cases)('%s is refused', (_name, wanted, sourceDateEpoch) => {
    expect(() => checkDiskForm(wanted, sourceDateEpoch)).toThrow(
      expect.objectContaining({ code: 'USAGE' }),
    )
  })

  test('a tool that is not there is told, with the package that brings it', () => {
    expect(() => needPrograms(['sh', 'no-such-mkfs'], 'some-package')).toThrow(
      expect.objectContaining({
        code: 'PROGRAM_NOT_FOUND',
        message: 'no-such-mkfs is not installed',
        hint: 'install the package some-package',
      }),
    )
  })
})
