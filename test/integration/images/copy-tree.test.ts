import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { copyTree } from '../../../src/images/copy-tree.ts'
import { bundleProgram } from '../../fixtures/bundled-program.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from './loop-file-system.ts'
import { sharesAllBlocks } from './shared-blocks.ts'
import { makeOddTree, treeListing } from './tree-listing.ts'

describe.skipIf(lacks('root', 'program:setfattr', 'program:setfacl', 'program:setcap'))(
  'copying a tree',
  () => {
    test('keeps all that cp -a keeps', async () => {
      await using directory = await temporaryDirectory()
      const [source, ours, theirs] = ['source', 'ours', 'theirs'].map((name) =>
        join(directory.path, name),
      ) as [string, string, string]
      makeOddTree(source)
      await copyTree(source, ours)
      execFileSync('cp', ['-a', source, theirs])
      expect(treeListing(ours)).toBe(treeListing(source))
      expect(treeListing(ours)).toBe(treeListing(theirs))
      expect(statSync(join(ours, 'disk')).rdev).toBe(statSync(join(source, 'disk')).rdev)
    })

    test.skipIf(lacks('loop devices', 'btrfs', 'program:filefrag'))(
      'keeps what is written in place on btrfs, and shares the blocks of it and of the others',
      async () => {
        await using directory = await temporaryDirectory()
        using disk = loopFileSystem('btrfs', directory.path)
        const [source, target] = [join(disk.path, 'source'), join(disk.path, 'copy')]
        mkdirSync(join(source, 'journal'), { recursive: true })
        mkdirSync(target)
        // What is made in the target is written in place, too, unless it is told otherwise.
        execFileSync('chattr', ['+C', join(source, 'journal'), target])
        const files = ['journal/a', 'b', 'c']
        for (const name of files) writeFileSync(join(source, name), Buffer.alloc(1 << 20, name))
        await copyTree(source, target)
        const marks = (path: string) =>
          execFileSync('lsattr', ['-d', ...['.', 'journal', ...files]], {
            cwd: path,
            encoding: 'utf8',
          })
        expect(marks(source).match(/C/g)).toHaveLength(2)
        expect(marks(target)).toBe(marks(source))
        execFileSync('sync', ['-f', disk.path])
        for (const name of files)
          expect([name, sharesAllBlocks(join(target, name))]).toEqual([name, true])
      },
    )

    test('keeps hard links between any number of directories, with few descriptors', async () => {
      await using directory = await temporaryDirectory()
      using program = bundleProgram('integration/images/copy-linked')
      const [source, target] = [join(directory.path, 'source'), join(directory.path, 'copy')]
      const names = Array.from({ length: 1100 }, (_, number) => `${number}`)
      for (const top of ['first', 'second'])
        for (const name of names) mkdirSync(join(source, top, name), { recursive: true })
      for (const name of names) {
        writeFileSync(join(source, 'first', name, 'file'), name)
        linkSync(join(source, 'first', name, 'file'), join(source, 'second', name, 'file'))
      }
      const limited = 'ulimit -n 1024; exec "$@"'
      execFileSync('sh', ['-c', limited, 'sh', ...program.command, source, target], {
        env: program.env,
      })
      const listing = (tree: string) =>
        execFileSync('sh', ['-c', "find . -printf '%P %M %n %T@\\n' | sort"], { cwd: tree })
      expect(listing(target)).toEqual(listing(source))
      const inode = (path: string) => statSync(join(target, path)).ino
      for (const name of names)
        expect(inode(`second/${name}/file`)).toBe(inode(`first/${name}/file`))
    })

    test('keeps holes', async () => {
      await using directory = await temporaryDirectory()
      makeOddTree(join(directory.path, 'source'))
      await copyTree(join(directory.path, 'source'), join(directory.path, 'copy'))
      expect(statSync(join(directory.path, 'copy/sparse')).blocks).toBeLessThan(100)
      expect(statSync(join(directory.path, 'copy/hole')).blocks).toBe(0)
    })

    test("a Debian tree's programs are the same afterwards", async () => {
      await using directory = await temporaryDirectory()
      const tree = join(await debianTree(), 'usr/bin')
      await copyTree(tree, join(directory.path, 'copy'))
      expect(treeListing(join(directory.path, 'copy'))).toBe(treeListing(tree))
    })

    test('the place it is copied to hands down neither its ACL nor its group', async () => {
      await using directory = await temporaryDirectory()
      makeOddTree(join(directory.path, 'source'))
      const pool = join(directory.path, 'pool')
      mkdirSync(pool)
      execFileSync('sh', [
        '-ec',
        'chgrp 77 "$1"; chmod g+s "$1"; setfacl -m d:u:42:rwx "$1"',
        'sh',
        pool,
      ])
      await copyTree(join(directory.path, 'source'), join(pool, 'copy'))
      expect(treeListing(join(pool, 'copy'))).toBe(treeListing(join(directory.path, 'source')))
    })

    test('other mounts in the tree are not entered', async () => {
      await using directory = await temporaryDirectory()
      const source = join(directory.path, 'source')
      mkdirSync(join(source, 'mounted'), { recursive: true })
      mkdirSync(join(directory.path, 'elsewhere'))
      writeFileSync(join(directory.path, 'elsewhere/secret'), '')
      execFileSync('mount', ['--bind', join(directory.path, 'elsewhere'), join(source, 'mounted')])
      try {
        await copyTree(source, join(directory.path, 'copy'))
      } finally {
        execFileSync('umount', [join(source, 'mounted')])
      }
      expect(readdirSync(join(directory.path, 'copy/mounted'))).toEqual([])
    })

    test('a copy into the tree itself does not copy the copy', async () => {
      await using directory = await temporaryDirectory()
      writeFileSync(join(directory.path, 'file'), 'x')
      await copyTree(directory.path, join(directory.path, 'copy'))
      expect(readdirSync(join(directory.path, 'copy'))).toEqual(['file'])
    })

    test('an ended copy says so', async () => {
      await using directory = await temporaryDirectory()
      const ended = copyTree(await debianTree(), join(directory.path, 'copy'), {
        signal: AbortSignal.timeout(20),
      })
      await expect(ended).rejects.toMatchObject({ code: 'CANCELED' })
    })

    test.skipIf(lacks('xfs', 'loop devices'))('shares blocks on xfs', async () => {
      await using directory = await temporaryDirectory()
      using xfs = loopFileSystem('xfs', directory.path)
      mkdirSync(join(xfs.path, 'source'))
      writeFileSync(join(xfs.path, 'source/file'), Buffer.alloc(1 << 20, 'x'))
      await copyTree(join(xfs.path, 'source'), join(xfs.path, 'copy'))
      expect(treeListing(join(xfs.path, 'copy'))).toBe(treeListing(join(xfs.path, 'source')))
      const extents = execFileSync('filefrag', ['-v', join(xfs.path, 'copy/file')], {
        encoding: 'utf8',
      })
      expect(extents).toContain('shared')
    })
  },
)
