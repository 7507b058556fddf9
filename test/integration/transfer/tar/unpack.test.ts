/** Archives of real tools become the trees that they were made of. */
import { execa } from 'execa'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compress } from '../../../../src/transfer/compress.ts'
import { openPlain } from '../../../../src/transfer/decompress.ts'
import { packTree } from '../../../../src/transfer/tar/pack.ts'
import { unpackTar } from '../../../../src/transfer/tar/unpack.ts'
import { debianTree } from '../../../fixtures/debian-tree.ts'
import { lacks } from '../../../fixtures/requires.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { makeOddTree, treeListing } from '../../images/tree-listing.ts'

const attributes = ['--xattrs', '--xattrs-include=*', '--sparse']

/** A listing without what the tool's archives do not carry. */
function comparable(tree: string, program: string): string {
  const listing = treeListing(tree)
  // bsdtar leaves out attributes of root's own.
  return program === 'bsdtar' ? listing.replace(/^trusted\..*\n/gm, '') : listing
}

/** An empty directory in `parent`. */
async function emptyDirectory(parent: string, name: string): Promise<string> {
  const path = join(parent, name)
  await mkdir(path)
  return path
}

/** A whole archive in one piece. */
async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

describe.skipIf(lacks('root', 'program:setfacl', 'program:getfattr', 'program:setcap'))(
  'a tree with everything that gets lost',
  () => {
    test('comes back from an archive of ours', async () => {
      await using dir = await temporaryDirectory()
      const tree = await emptyDirectory(dir.path, 'tree')
      makeOddTree(tree)
      const copy = await emptyDirectory(dir.path, 'copy')
      await unpackTar(packTree(tree), copy)
      expect(treeListing(copy)).toBe(treeListing(tree))
    })

    test.each([
      [
        'GNU tar, PAX form',
        'tar',
        ['--format=posix', '--xattrs', '--xattrs-include=*', '--sparse'],
      ],
      [
        'GNU tar, ACLs as text',
        'tar',
        ['--format=posix', '--xattrs', '--acls', '--numeric-owner', '--sparse'],
      ],
      ['GNU tar, PAX sparse 0.0', 'tar', ['--format=posix', '--sparse-version=0.0', ...attributes]],
      ['GNU tar, PAX sparse 0.1', 'tar', ['--format=posix', '--sparse-version=0.1', ...attributes]],
      ['bsdtar, PAX form', 'bsdtar', ['--format=pax', '--xattrs', '--acls', '--numeric-owner']],
    ])('comes back from an archive of %s', async (_, program, options) => {
      await using dir = await temporaryDirectory()
      const tree = await emptyDirectory(dir.path, 'tree')
      makeOddTree(tree)
      const archive = join(dir.path, 'archive.tar')
      await execa(program, ['-c', '-f', archive, ...options, '-C', tree, '.'])
      const copy = await emptyDirectory(dir.path, 'copy')
      await unpackTar(createReadStream(archive), copy)
      expect(comparable(copy, program)).toBe(comparable(tree, program))
    })

    test('is read by GNU tar from an archive of ours', async () => {
      await using dir = await temporaryDirectory()
      const tree = await emptyDirectory(dir.path, 'tree')
      makeOddTree(tree)
      const copy = await emptyDirectory(dir.path, 'copy')
      await execa('tar', ['-x', '-p', '-C', copy, '--numeric-owner', ...attributes.slice(0, 2)], {
        stdin: packTree(tree),
      })
      expect(treeListing(copy)).toBe(treeListing(tree))
    })
  },
)

test.skipIf(lacks('root', 'program:mmdebstrap'))(
  'a whole Debian system comes back, entry by entry, through a compressor',
  async () => {
    await using dir = await temporaryDirectory()
    const tree = await debianTree()
    const copy = await emptyDirectory(dir.path, 'copy')
    const packed = compress(packTree(tree), 'zstd')
    const { compression, chunks } = await openPlain(packed)
    expect(compression).toBe('zstd')
    const { entries } = await unpackTar(chunks, copy)
    expect(entries).toBeGreaterThan(5000)
    expect(treeListing(copy)).toBe(treeListing(tree))
  },
)

describe.skipIf(lacks('root'))('an archive', () => {
  test('has its owners, ACLs and capabilities moved into a range', async () => {
    await using dir = await temporaryDirectory()
    const tree = await emptyDirectory(dir.path, 'tree')
    makeOddTree(tree)
    const copy = await emptyDirectory(dir.path, 'copy')
    await unpackTar(packTree(tree), copy, { idShift: 0x80000 })
    const { stdout } = await execa('getcap', ['-n', join(copy, 'usr/bin/ping')])
    expect(stdout).toContain('cap_net_raw=ep [rootid=524288]')
    const acl = await execa('getfacl', ['-n', '-p', '--omit-header', join(copy, 'acl')])
    expect(acl.stdout).toContain('user:525522:rw-')
    const back = await emptyDirectory(dir.path, 'back')
    await unpackTar(packTree(copy, { idShift: 0x80000 }), back)
    expect(treeListing(back)).toBe(treeListing(tree))
  })

  test('may be several, one behind the other, with garbage at the end', async () => {
    await using dir = await temporaryDirectory()
    const copy = await emptyDirectory(dir.path, 'copy')
    for (const name of ['one', 'two']) {
      await writeFile(join(dir.path, name), name)
      await execa('tar', ['-c', '-f', join(dir.path, `${name}.tar`), '-C', dir.path, name])
    }
    const archives = await Promise.all(
      ['one.tar', 'two.tar'].map((name) => readFile(join(dir.path, name))),
    )
    const warnings: unknown[] = []
    const log = (event: unknown) => warnings.push(event)
    const bytes = Buffer.concat([...archives, Buffer.alloc(700, 'x')])
    await unpackTar(inOnePiece(bytes), copy, { log })
    expect((await readdir(copy)).toSorted()).toEqual(['one', 'two'])
    expect(warnings).toHaveLength(1)
  })

  test('is refused when it stops before its end, wherever', async () => {
    await using dir = await temporaryDirectory()
    await writeFile(join(dir.path, 'one'), 'x'.repeat(1000))
    const { stdout } = await execa('tar', ['-c', '-C', dir.path, 'one'], { encoding: 'buffer' })
    for (const [i, length] of [0, 100, 512, 700, 1535, 1536].entries()) {
      const copy = await emptyDirectory(dir.path, `copy${i}`)
      const cut = inOnePiece(stdout.subarray(0, length))
      await expect(unpackTar(cut, copy), `${length} bytes`).rejects.toMatchObject({
        code: length < 512 ? 'BAD_ARCHIVE' : 'TRUNCATED_ARCHIVE',
      })
    }
  })
})

describe.skipIf(lacks('root'))('a directory where the tree has a link to one', () => {
  test.each([
    [undefined, 'directory', ['bin/x']],
    ['keep', 'link', ['usr/bin/x']],
  ] as const)('with directoryLinks %s is a %s', async (directoryLinks, _is, expected) => {
    await using dir = await temporaryDirectory()
    const tree = await emptyDirectory(dir.path, 'tree')
    const upper = await emptyDirectory(dir.path, 'upper')
    const script = `cd "$1"; mkdir -p usr/bin; chmod 0711 usr/bin; ln -s usr/bin bin; ln -s /etc out
      mkdir -p "$2/bin" "$2/out"; touch "$2/bin/x" "$2/out/y"`
    await execa('sh', ['-ec', script, 'sh', tree, upper])
    const names = ['bin', 'out']
    const { stdout } = await execa('tar', ['-c', '-C', upper, ...names], { encoding: 'buffer' })
    await unpackTar(inOnePiece(stdout), tree, { directoryLinks })
    const found = await execa('find', ['.', '-type', 'f', '-printf', '%P\n'], { cwd: tree })
    // A link out of the tree leads to nothing in it, and is replaced.
    expect(found.stdout.split('\n').toSorted()).toEqual([...expected, 'out/y'].toSorted())
    const mode = await execa('stat', ['--format=%a', 'usr/bin'], { cwd: tree })
    expect(mode.stdout).toBe('711')
  })
})

describe.skipIf(lacks('root'))('a layer', () => {
  test('takes away what it hides, and not what it brings', async () => {
    await using dir = await temporaryDirectory()
    const tree = await emptyDirectory(dir.path, 'tree')
    const upper = await emptyDirectory(dir.path, 'upper')
    await execa('sh', [
      '-ec',
      `mkdir -p "$1/etc/old" "$1/opaque/kept" "$1/usr/lib"; cd "$1"; ln -s usr/lib lib
       touch etc/gone etc/stays etc/old/file opaque/lower opaque/kept/lower
       mkdir -p "$2/etc" "$2/opaque/kept" "$2/lib"; cd "$2"
       touch etc/.wh.gone etc/.wh.old etc/.wh.never opaque/upper opaque/kept/upper opaque/.wh..wh..opq lib/x`,
      'sh',
      tree,
      upper,
    ])
    const names = ['etc', 'opaque/upper', 'opaque/kept', 'opaque/.wh..wh..opq', 'lib/x']
    const { stdout } = await execa('tar', ['-c', '-C', upper, ...names], { encoding: 'buffer' })
    await unpackTar(inOnePiece(stdout), tree, { whiteouts: 'oci' })
    const found = await execa('find', ['.', '-type', 'f', '-printf', '%P\n'], { cwd: tree })
    expect(found.stdout.split('\n').toSorted()).toEqual([
      'etc/stays',
      'opaque/kept/upper',
      'opaque/upper',
      'usr/lib/x',
    ])
  })
})
