import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { removeTree, removeTreeGently } from '../../../src/images/remove-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { makeOddTree } from './tree-listing.ts'

const shell = (script: string, ...args: string[]): void => {
  execFileSync('sh', ['-ec', script, 'sh', ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
}

describe.skipIf(lacks('root', 'program:chattr'))('removing a tree', () => {
  test.each([
    ['at once', (path: string) => Promise.resolve(removeTree(path))],
    ['gently', removeTreeGently],
  ])('%s takes everything away, whatever its kind or permissions', async (_, remove) => {
    await using directory = await temporaryDirectory()
    makeOddTree(join(directory.path, 'tree'))
    await remove(join(directory.path, 'tree'))
    expect(readdirSync(directory.path)).toEqual([])
  })

  test('a tree deeper than any path can name goes away', async () => {
    await using directory = await temporaryDirectory()
    execFileSync('python3', [
      '-c',
      'import os,sys\nos.mkdir(sys.argv[1]); os.chdir(sys.argv[1])\nfor i in range(1500):\n os.mkdir("directory"); open("file","w").close(); os.chdir("directory")',
      join(directory.path, 'tree'),
    ])
    // Nor does it take a descriptor for each level.
    const limit = (soft: string): void => {
      execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`])
    }
    const before = execFileSync('prlimit', [
      '--pid',
      String(process.pid),
      '--nofile',
      '-o',
      'SOFT',
      '--noheadings',
    ])
    limit('512')
    try {
      removeTree(join(directory.path, 'tree'))
    } finally {
      limit(before.toString().trim())
    }
    expect(readdirSync(directory.path)).toEqual([])
  })

  test('immutable and append-only files and directories are no obstacle', async () => {
    await using directory = await temporaryDirectory()
    shell(
      `mkdir -p "$1/a/b"; : > "$1/a/b/c"; : > "$1/a/log"; mkdir "$1/empty"
       chattr +a "$1/a/log"; chattr +i "$1/a/b/c" "$1/a/b" "$1/empty" "$1/a" "$1"`,
      join(directory.path, 'tree'),
    )
    removeTree(join(directory.path, 'tree'))
    expect(readdirSync(directory.path)).toEqual([])
  })

  test('symlinks are removed, not followed', async () => {
    await using directory = await temporaryDirectory()
    mkdirSync(join(directory.path, 'tree'))
    mkdirSync(join(directory.path, 'kept'))
    writeFileSync(join(directory.path, 'kept/file'), '')
    symlinkSync('../kept', join(directory.path, 'tree/link'))
    removeTree(join(directory.path, 'tree'))
    symlinkSync('kept', join(directory.path, 'link'))
    removeTree(join(directory.path, 'link'))
    expect(readdirSync(directory.path)).toEqual(['kept'])
    expect(existsSync(join(directory.path, 'kept/file'))).toBe(true)
  })

  test('nothing is removed while something is mounted in it, of the same file system too', async () => {
    await using directory = await temporaryDirectory()
    const tree = join(directory.path, 'a tree')
    mkdirSync(join(tree, 'busy'), { recursive: true })
    mkdirSync(join(directory.path, 'host'))
    writeFileSync(join(directory.path, 'host/precious'), '')
    const files = Array.from({ length: 20 }, (_, i) => `file${i}`)
    for (const name of files) writeFileSync(join(tree, name), '')
    execFileSync('mount', ['--bind', join(directory.path, 'host'), join(tree, 'busy')])
    try {
      expect(() => removeTree(tree)).toThrow(
        expect.objectContaining({ code: 'EBUSY', subject: join(tree, 'busy') }),
      )
      expect(readdirSync(tree).toSorted()).toEqual([...files, 'busy'].toSorted())
      expect(existsSync(join(directory.path, 'host/precious'))).toBe(true)
    } finally {
      execFileSync('umount', [join(tree, 'busy')])
    }
  })

  test('what is not there is no failure', async () => {
    await using directory = await temporaryDirectory()
    for (const name of ['none', 'no/such/directory']) {
      expect(() => removeTree(join(directory.path, name))).not.toThrow()
    }
  })
})
