import { spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hashedIdBase, ownerIdRange, pickIdRange } from '../../../src/images/id-range.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { borrowDebianTree } from './runnable-tree.ts'

const machine = `test-${process.pid}`

describe.skipIf(lacks('root'))('picking a range', () => {
  test("takes the tree's own, else the machine's, else another one; each is free again afterwards", async () => {
    const own = await pickIdRange(machine, 0x10a90000 + 5)
    expect(own).toMatchObject({ base: 0x10a90000, length: 65536 })
    const hashed = await pickIdRange(machine, 0)
    expect(hashed.base).toBe(hashedIdBase(machine))
    const other = await pickIdRange(machine, 0x10a90000)
    expect([own.base, hashed.base, 0]).not.toContain(other.base)
    expect(other.base % 65536).toBe(0)
    for (const range of [own, hashed, other]) {
      expect(existsSync(`/run/systemd/nspawn-uid/${range.base}`)).toBe(true)
      range.release()
      expect(existsSync(`/run/systemd/nspawn-uid/${range.base}`)).toBe(false)
    }
  })

  test('an owner outside of the ranges for containers is not taken', async () => {
    const range = await pickIdRange(machine, 0x7ffe0000)
    expect(range.base).toBe(hashedIdBase(machine))
    range.release()
  })

  test('leaves what systemd-nspawn has picked', async ({ skip }) => {
    if (lacks('program:systemd-nspawn')) skip()
    await using directory = await temporaryDirectory()
    using borrowed = await borrowDebianTree(directory.path, 'tree')
    const tree = borrowed.path
    const args = [
      '--quiet',
      '--register=no',
      '--keep-unit',
      '--pipe',
      '--private-users=pick',
      '--private-users-ownership=off',
      '-M',
      machine,
      '-D',
      tree,
    ]
    const theirs = spawn(
      'systemd-nspawn',
      [...args, 'sh', '-c', 'cat /proc/self/uid_map; read line'],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    const ended = new Promise((resolve) => theirs.on('exit', resolve))
    const map = await new Promise<string>((resolve) =>
      theirs.stdout.once('data', (data) => resolve(String(data))),
    )
    const ours = await pickIdRange(machine, 0)
    expect(Number(map.trim().split(/\s+/)[1])).toBe(hashedIdBase(machine))
    expect(ours.base).not.toBe(hashedIdBase(machine))
    ours.release()
    theirs.stdin.end('\n')
    await ended
  })
})

test.skipIf(lacks('root'))(
  "the range of a tree is its owner's, whose user and group must agree",
  async () => {
    await using directory = await temporaryDirectory()
    const tree = join(directory.path, 'tree')
    mkdirSync(tree)
    expect(ownerIdRange(tree)).toEqual({ base: 0, length: 65536 })
    chownSync(tree, 0x6fff0005, 0x6fff0007)
    expect(ownerIdRange(tree)).toEqual({ base: 0x6fff0000, length: 65536 })
    chownSync(tree, 0x90000000, 0x90000000)
    expect(ownerIdRange(tree)).toEqual({ base: 0x90000000, length: 65536 })
    chownSync(tree, 0x6fff0000, 0x70000000)
    expect(() => ownerIdRange(tree)).toThrow(expect.objectContaining({ code: 'ID_RANGE_MISMATCH' }))
  },
)
