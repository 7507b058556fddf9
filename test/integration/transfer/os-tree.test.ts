/** A system that lies one directory too deep in its archive is lifted, and nothing else is. */
import { execa } from 'execa'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isOsTree, liftOsTree } from '../../../src/transfer/os-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { treeListing } from '../images/tree-listing.ts'

/** Runs `script` in a fresh directory `tree`. */
async function treeOf(parent: string, script: string): Promise<string> {
  const tree = join(parent, 'tree')
  await mkdir(tree)
  await execa('sh', ['-ec', script], { cwd: tree })
  return tree
}

describe.skipIf(lacks('root', 'program:getfattr'))('a tree', () => {
  test.each([
    ['etc/os-release', 'mkdir etc; touch etc/os-release', true],
    ['usr/lib/os-release', 'mkdir -p usr/lib; touch usr/lib/os-release', true],
    [
      'a link that is absolute in the tree',
      'mkdir -p etc usr/lib; touch usr/lib/os-release; ln -s /usr/lib/os-release etc/os-release',
      true,
    ],
    [
      'a link to the host',
      'mkdir etc; ln -s ../../../../../../../../usr/lib/os-release etc/os-release',
      false,
    ],
    ['a link in a circle', 'mkdir etc; ln -s os-release etc/os-release', false],
    ['nothing', 'true', false],
  ])('with %s', async (_, script, is) => {
    await using dir = await temporaryDirectory()
    const tree = await treeOf(dir.path, script)
    expect(isOsTree(tree)).toBe(is)
    expect(liftOsTree(tree)).toBe(is)
  })

  test('with a system in its only directory becomes that system, whatever names are in it', async () => {
    await using dir = await temporaryDirectory()
    const tree = await treeOf(
      dir.path,
      `umask 022; mkdir -p debian/etc debian/debian; cd debian; touch etc/os-release debian/x .hidden
       touch "$(printf 'latin-\\351')"; ln etc/os-release hard; setfattr -n user.x -v y .; chown 3:4 .
       chmod 1711 .; touch -d '2001-02-03 04:05:06.789' .`,
    )
    const expected = treeListing(join(tree, 'debian'))
    expect(liftOsTree(tree)).toBe(true)
    expect(treeListing(tree)).toBe(expected)
  })

  test.each([
    ['a second entry', 'mkdir -p debian/etc; touch debian/etc/os-release README'],
    ['a file', 'touch README'],
    [
      'a link to a system',
      'mkdir ../other ../other/etc; touch ../other/etc/os-release; ln -s ../other x',
    ],
    ['a directory that is no system', 'mkdir -p data/etc'],
  ])('with %s stays as it is', async (_, script) => {
    await using dir = await temporaryDirectory()
    const tree = await treeOf(dir.path, script)
    const before = (await readdir(tree)).toSorted()
    expect(liftOsTree(tree)).toBe(false)
    expect((await readdir(tree)).toSorted()).toEqual(before)
  })
})
