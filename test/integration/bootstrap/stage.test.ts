/** Where a tree is made and how it gets its name, without the tools that fill it. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { treeImage } from '../../../src/bootstrap/stage.ts'
import { CleanupStack } from '../../../src/cleanup.ts'
import { prepareEphemeral } from '../../../src/images/ephemeral.ts'
import { stageImage } from '../../../src/images/new-image.ts'
import { setImmutable } from '../../../src/sys/inode-flags.ts'
import { silent } from '../../../src/log.ts'
import { createSubvolume, isSubvolume, setSubvolumeReadOnly } from '../../../src/sys/btrfs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'

/** Makes a tree with one file `mark` at `destination`. */
async function make(
  destination: string,
  mark: string,
  existing: 'keep' | 'replace' = 'keep',
): Promise<void> {
  await using cleanup = new CleanupStack()
  const stage = stageImage(treeImage(destination, existing), cleanup, silent)
  writeFileSync(join(stage.path, mark), '')
  await stage.publish()
}

const code = (wanted: string) => expect.objectContaining({ code: wanted })

describe.skipIf(lacks('root'))('a new tree', () => {
  test('takes the place of an empty directory, and of nothing else', async () => {
    await using dir = await temporaryDirectory()
    const at = (name: string) => join(dir.path, name)
    mkdirSync(at('empty'))
    await make(at('empty'), 'new')
    expect(readdirSync(at('empty'))).toEqual(['new'])
    mkdirSync(at('elsewhere'))
    symlinkSync(at('elsewhere'), at('link'))
    writeFileSync(at('file'), '')
    writeFileSync(at('image.raw'), '')
    for (const name of ['empty', 'link', 'file', 'image'])
      await expect(make(at(name), 'other')).rejects.toThrow(code('IMAGE_EXISTS'))
    expect(readdirSync(dir.path).toSorted()).toEqual([
      'elsewhere',
      'empty',
      'file',
      'image.raw',
      'link',
    ])
  })

  test('is not begun where a mount or a mark would keep it from its name', async () => {
    await using dir = await temporaryDirectory()
    const at = (name: string) => join(dir.path, name)
    for (const name of ['mounted', 'marked']) mkdirSync(at(name))
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at('mounted')])
    try {
      await expect(make(at('mounted'), 'new')).rejects.toThrow(code('EBUSY'))
    } finally {
      execFileSync('umount', [at('mounted')])
    }
    writeFileSync(join(at('marked'), 'old'), '')
    setImmutable(at('marked'), true)
    try {
      await expect(make(at('marked'), 'new', 'replace')).rejects.toThrow('marked read-only')
    } finally {
      setImmutable(at('marked'), false)
    }
    expect(readdirSync(dir.path).toSorted()).toEqual(['marked', 'mounted'])
  })
})

describe.skipIf(lacks('root', 'loop devices', 'btrfs'))('a new tree on btrfs', () => {
  test('is a subvolume, of which throw-away copies are snapshots', async () => {
    await using dir = await temporaryDirectory()
    using disk = loopFileSystem('btrfs', dir.path)
    const tree = join(disk.path, 'tree')
    await make(tree, 'new')
    expect(isSubvolume(tree)).toBe(true)
    await using cleanup = new CleanupStack()
    expect(await prepareEphemeral(tree, {}, cleanup)).toMatchObject({ kind: 'snapshot' })
  })

  test('replaces a subvolume with all that is nested in it, an empty one too', async () => {
    await using dir = await temporaryDirectory()
    using disk = loopFileSystem('btrfs', dir.path)
    const [tree, waiting] = [join(disk.path, 'tree'), join(disk.path, 'waiting')]
    await make(tree, 'old')
    mkdirSync(join(tree, 'var/lib'), { recursive: true })
    for (const name of ['var/lib/portables', 'srv']) createSubvolume(join(tree, name))
    setSubvolumeReadOnly(join(tree, 'srv'), true)
    await make(tree, 'new', 'replace')
    expect(readdirSync(tree)).toEqual(['new'])
    createSubvolume(waiting)
    await make(waiting, 'new')
    expect(readdirSync(waiting)).toEqual(['new'])
    expect(readdirSync(disk.path).toSorted()).toEqual(['tree', 'waiting'])
    const subvolumes = execFileSync('btrfs', ['subvolume', 'list', disk.path], { encoding: 'utf8' })
    expect(subvolumes.trim().split('\n')).toHaveLength(2)
  })

  test('does not replace one that is read-only', async () => {
    await using dir = await temporaryDirectory()
    using disk = loopFileSystem('btrfs', dir.path)
    const tree = join(disk.path, 'tree')
    await make(tree, 'old')
    setSubvolumeReadOnly(tree, true)
    await expect(make(tree, 'new', 'replace')).rejects.toThrow('marked read-only')
    expect(existsSync(join(tree, 'old'))).toBe(true)
    expect(readdirSync(disk.path)).toEqual(['tree'])
  })
})
