/** Images for the cases about disks, and what must not be left of them. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { makeBusyboxTree } from '../../fixtures/disk-image.ts'
import { eventually, tool } from './programs.ts'

/** A directory for a group of cases; it goes with the machine. */
export function workDirectory(): Promise<string> {
  return mkdtemp('/var/tmp/case-')
}

/** A small tree with the programs that the cases call inside, and all places that a container wants to find. */
export async function smallTree(work: string): Promise<string> {
  const tree = await makeBusyboxTree(join(work, 'tree'))
  // Where an image cannot be written to, nobody makes them.
  for (const name of ['dev', 'proc', 'run', 'sys']) await mkdir(join(tree, name))
  for (const name of ['true', 'ip', 'ping', 'udhcpc'])
    await symlink('busybox', join(tree, 'usr/bin', name))
  return tree
}

/** The kernel takes devices away when the last who had them open has ended, which is a moment later. */
export function nothingAttached(): Promise<void> {
  return eventually(async () => {
    assert.equal(await tool('losetup', '--all'), '')
    assert.equal(await tool('dmsetup', 'ls'), 'No devices found')
  })
}
