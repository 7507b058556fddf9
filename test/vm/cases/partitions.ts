/** Disk images in both runtimes: the original needs udev to open one. */
import assert from 'node:assert/strict'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  commonTypes,
  makeDirectory,
  makeDisk,
  makeFileSystem,
  types,
  type TestPartition,
} from '../../fixtures/disk-image.ts'
import { nothingAttached, smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { original, ours, tool, type Ended } from '../guest/programs.ts'

const prepare = once(async () => {
  const work = await workDirectory()
  const at = (name: string) => join(work, name)
  const tree = await smallTree(work)
  for (const name of ['efi', 'boot']) await mkdir(join(tree, name))
  await makeFileSystem('ext4', tree, at('root.fs'), 16)
  await makeFileSystem('squashfs', tree, at('squashfs.raw'), 0)
  await makeFileSystem('ext4', join(tree, 'usr'), at('usr.fs'), 16)
  const files = await makeDirectory(at('files'), { file: '' })
  await makeFileSystem('ext4', files, at('part.fs'), 8)
  await tool('mkfs.vfat', '-C', at('esp.fs'), String(8 << 10))
  await copyFile(at('root.fs'), at('bare.raw'))
  const root = { type: types.root, content: at('root.fs'), sizeMiB: 16 }
  const part = (type: keyof typeof commonTypes, more: Partial<TestPartition> = {}) => ({
    ...{ type: commonTypes[type], content: at('part.fs'), sizeMiB: 8 },
    ...more,
  })
  const esp = part('esp', { content: at('esp.fs') })
  const disk = (name: string, ...partitions: TestPartition[]) =>
    makeDisk(at(`${name}.raw`), 'gpt', partitions)
  await disk('root', root)
  await disk('esp', esp, root)
  await disk('boot', esp, part('xbootldr', { content: at('esp.fs') }), root)
  await disk('all', root, part('home'), part('srv'), part('var'), part('tmp'))
  await disk('marked', { ...root, flags: 'GUID:60' }, part('home', { flags: 'GUID:60' }))
  await disk('usr', { type: types.usr, content: at('usr.fs'), sizeMiB: 16 })
  await disk('no-root', part('home'))
  await tool('truncate', '--size=4M', at('empty.raw'))
  await writeFile(at('text.raw'), 'neither a file system nor a table of partitions\n'.repeat(400))
  return { at }
})

/** Where an image's own file systems, and what stands in for them, can be. */
const places = new Set(['/', '/usr', '/home', '/srv', '/var', '/var/tmp', '/boot', '/efi'])

/** A line a mount: place, options, file system, and the options of that, unless it is one in memory. */
function mountTable(mountinfo: string): string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , , place = '', options = ''] = before.split(' ')
    const [fstype = '', , inner = ''] = after.split(' ')
    if (!places.has(place)) return []
    if (fstype === 'overlay' || fstype === 'tmpfs')
      return [`${place} ${options.split(',')[0]} ${fstype}`]
    // The original asks the kernel by a path that does not tell that it is a loop device.
    const said = inner.split(',').filter((one) => one !== 'discard')
    return [`${place} ${options} ${fstype} ${said.join(',')}`]
  })
}

async function bothMount(image: string, options: readonly string[]): Promise<void> {
  const { at } = await prepare()
  const words = ['-i', at(`${image}.raw`), '-M', 'both', ...options, 'cat', '/proc/self/mountinfo']
  const [mine, real] = [await ours(...words), await original(...words)]
  assert.equal(real.status, 0, real.stderr)
  assert.equal(mine.status, 0, mine.stderr)
  const [here, there] = [mountTable(mine.stdout), mountTable(real.stdout)]
  assert.notEqual(there.length, 0)
  assert.deepEqual(here, there)
  await nothingAttached()
}

async function bothRefuse(image: string, options: readonly string[]): Promise<void> {
  const { at } = await prepare()
  const words = ['-i', at(`${image}.raw`), ...options, 'echo', 'started']
  const outcome = ({ status, stdout }: Ended) => ({ status, stdout })
  const [mine, real] = [await ours(...words), await original(...words)]
  assert.deepEqual(outcome(real), { status: 1, stdout: '' }, real.stderr)
  assert.deepEqual(outcome(mine), { status: 1, stdout: '' }, mine.stderr)
  assert.notEqual(mine.stderr, '')
  await nothingAttached()
}

const mounted: readonly (readonly [string, string, readonly string[]])[] = [
  ['one file system', 'bare', []],
  ['one file system, read-only', 'bare', ['--read-only']],
  ['one file system with users of its own', 'bare', ['-U']],
  ['one file system whose changes are forgotten', 'bare', ['--volatile=overlay']],
  ['one file system without a root that stays', 'bare', ['--volatile=yes']],
  ['one file system without a state that stays', 'bare', ['--volatile=state']],
  ['a squashfs', 'squashfs', []],
  ['a root partition', 'root', []],
  ['a root partition, read-only', 'root', ['--read-only']],
  ['an ESP for /efi or /boot', 'esp', []],
  ['an ESP with users of its own', 'esp', ['-U']],
  ['an ESP of an image that is read only', 'esp', ['--read-only']],
  ['an ESP and an XBOOTLDR', 'boot', []],
  ['root, home, srv, var and tmp', 'all', []],
  ['all of them with users of its own', 'all', ['--private-users=pick']],
  ['all of them, read-only', 'all', ['--read-only']],
  ['all of them below a volatile overlay', 'all', ['--volatile=overlay']],
  ['all of them without a root that stays', 'all', ['--volatile=yes']],
  ['partitions that are marked read-only', 'marked', []],
  ['a /usr and nothing else', 'usr', []],
]

const refusals: readonly (readonly [string, string, readonly string[]])[] = [
  ['that is not there', 'missing', []],
  ['that is empty', 'empty', []],
  ['that is a text', 'text', []],
  ['without a root', 'no-root', []],
  ['whose root the policy wants proven', 'root', ['--image-policy=root=verity']],
  ['whose root the policy does not want', 'root', ['--image-policy=root=absent']],
]

export const partitions = group('partitions', (test) => {
  for (const [title, image, options] of mounted)
    test(`${title}: mounted as by systemd-nspawn`, () => bothMount(image, options))
  for (const [title, image, options] of refusals)
    test(`an image ${title} is refused, as by systemd-nspawn`, () => bothRefuse(image, options))
})
