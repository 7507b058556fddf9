import { execFileSync } from 'node:child_process'
import { chownSync, lstatSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { patchOwnership } from '../../../src/images/patch-uid.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { makeSmallTree } from './runnable-tree.ts'
import { makeOddTree, treeListing } from './tree-listing.ts'

const range = { base: 0x10a90000, length: 65536 }

/** Owners, modes and ACLs of everything: what systemd-nspawn changes too (it loses file capabilities). */
function ownerListing(directory: string): string {
  const run = (script: string): string =>
    execFileSync('sh', ['-ec', script], { cwd: directory, encoding: 'latin1', maxBuffer: 1 << 28 })
  return run(
    `find . ! -path './proc/*' -printf '%P|%y|%m|%U:%G|%l\\n' | sort; getfacl -R -P -n -s . `,
  )
}

describe.skipIf(lacks('root', 'program:setfacl', 'program:setcap', 'program:setfattr'))(
  'moving owners into a range',
  () => {
    test.skipIf(lacks('program:systemd-nspawn'))(
      'gives each file what systemd-nspawn gives it',
      async () => {
        await using directory = await temporaryDirectory()
        const ours = join(directory.path, 'ours')
        const theirs = join(directory.path, 'theirs')
        await makeSmallTree(ours)
        makeOddTree(join(ours, 'srv/odd'))
        execFileSync('cp', ['-a', ours, theirs])
        const nspawn = `--quiet --register=no --keep-unit --pipe --private-users=${range.base}:65536
      --private-users-ownership=chown --resolv-conf=off --timezone=off --link-journal=no`
        execFileSync('systemd-nspawn', [...nspawn.split(/\s+/), '-D', theirs, 'true'])
        // What a run makes in the tree besides.
        for (const made of ['run', 'proc', 'sys', 'dev', 'tmp', 'etc/localtime']) {
          for (const tree of [ours, theirs]) execFileSync('rm', ['-rf', join(tree, made)])
        }
        patchOwnership(ours, range)
        expect(ownerListing(ours)).toBe(ownerListing(theirs))
      },
    )

    test('is undone by base 0: owners, ACLs, capabilities and modes are as before', async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makeOddTree(tree)
      const before = treeListing(tree)
      const changed = patchOwnership(tree, range)
      expect(lstatSync(join(tree, 'deep/symlink'))).toMatchObject({
        uid: range.base + 7,
        gid: range.base + 8,
      })
      expect(statSync(join(tree, 'usr/bin/program'))).toMatchObject({
        uid: range.base,
        mode: 0o104755,
      })
      expect(treeListing(tree)).not.toBe(before)
      expect(patchOwnership(tree, { base: 0, length: 65536 })).toBe(changed)
      expect(treeListing(tree)).toBe(before)
    })

    test('file capabilities then belong to the root user of the range', async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      makeOddTree(tree)
      patchOwnership(tree, range)
      const capability = execFileSync('getcap', ['-n', join(tree, 'usr/bin/ping')], {
        encoding: 'utf8',
      })
      expect(capability).toContain(`cap_net_raw=ep [rootid=${range.base}]`)
    })

    test('a tree in the range is left as it is; one left half done is not', async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      mkdirSync(tree)
      writeFileSync(join(tree, 'file'), '')
      expect(patchOwnership(tree, range)).toBe(2)
      chownSync(join(tree, 'file'), 5, 5)
      expect(patchOwnership(tree, range)).toBe(0)
      chownSync(tree, 0xfffe0000, 0xfffe0000)
      expect(patchOwnership(tree, range)).toBe(2)
      expect(statSync(join(tree, 'file')).uid).toBe(range.base + 5)
      expect(statSync(tree)).toMatchObject({ uid: range.base, gid: range.base })
    })

    test('a run that fails half-way leaves the tree marked, so that the next one goes through all of it', async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      mkdirSync(tree)
      writeFileSync(join(tree, 'file'), '')
      execFileSync('chattr', ['+i', join(tree, 'file')])
      try {
        expect(() => patchOwnership(tree, range)).toThrow(
          expect.objectContaining({ code: 'EPERM', subject: join(tree, 'file') }),
        )
        expect(statSync(tree)).toMatchObject({ uid: 0xfffe0000, gid: 0xfffe0000 })
      } finally {
        execFileSync('chattr', ['-i', join(tree, 'file')])
      }
      expect(patchOwnership(tree, range)).toBe(2)
      expect(statSync(tree)).toMatchObject({ uid: range.base, gid: range.base })
    })

    test('API file systems, read-only mounts and single files of the host mounted in the tree keep their owners', async () => {
      await using directory = await temporaryDirectory()
      const tree = join(directory.path, 'tree')
      for (const name of ['proc', 'ro', 'rw']) mkdirSync(join(tree, name), { recursive: true })
      for (const name of ['host-dir', 'host-rw']) mkdirSync(join(directory.path, name))
      for (const file of [join(directory.path, 'host-file'), join(tree, 'file')])
        writeFileSync(file, '')
      execFileSync('mount', ['-t', 'proc', 'proc', join(tree, 'proc')])
      execFileSync('mount', [
        '--bind',
        '-o',
        'ro',
        join(directory.path, 'host-dir'),
        join(tree, 'ro'),
      ])
      execFileSync('mount', ['--bind', join(directory.path, 'host-rw'), join(tree, 'rw')])
      execFileSync('mount', ['--bind', join(directory.path, 'host-file'), join(tree, 'file')])
      try {
        patchOwnership(tree, range)
      } finally {
        for (const name of ['proc', 'ro', 'rw', 'file']) execFileSync('umount', [join(tree, name)])
      }
      expect(statSync(join(directory.path, 'host-dir')).uid).toBe(0)
      expect(statSync(join(directory.path, 'host-file')).uid).toBe(0)
      expect(statSync(join(directory.path, 'host-rw')).uid).toBe(range.base)
    })

    test('a read-only tree and a range that cannot be moved into are refused', async () => {
      await using directory = await temporaryDirectory()
      expect(() => patchOwnership(directory.path, { base: 1000, length: 65536 })).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      )
      execFileSync('mount', ['--bind', '-o', 'ro', directory.path, directory.path])
      try {
        expect(() => patchOwnership(directory.path, range)).toThrow(
          expect.objectContaining({ code: 'EROFS' }),
        )
      } finally {
        execFileSync('umount', [directory.path])
      }
    })
  },
)
