/** What goes into an archive of ours, and what does not. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { LogEvent } from '../../../../src/log.ts'
import { packTree, type PackOptions } from '../../../../src/transfer/tar/pack.ts'
import { lacks } from '../../../fixtures/requires.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { makeOddTree } from '../../images/tree-listing.ts'

async function packed(tree: string, options?: PackOptions): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of packTree(tree, options)) parts.push(chunk)
  return Buffer.concat(parts)
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe.skipIf(lacks('root', 'program:setfacl', 'program:setcap', 'program:python3'))(
  'an archive of a tree',
  () => {
    test('is the same for the same tree, begins with `./`, and is in the order of bytes', async () => {
      await using dir = await temporaryDirectory()
      const tree = join(dir.path, 'tree')
      mkdirSync(tree)
      makeOddTree(tree)
      const archive = await packed(tree)
      const copy = join(dir.path, 'copy')
      await execa('cp', ['-a', '--', tree, copy])
      expect(digest(await packed(copy))).toBe(digest(archive))
      const { stdout } = await execa('tar', ['-t', '--quoting-style=escape'], { input: archive })
      const names = stdout.split('\n')
      expect(names.slice(0, 4)).toEqual(['./', './acl', './acl.d/', './acl.d/inherits'])
      expect(names.filter((name) => !name.startsWith('./'))).toEqual([])
    })

    test('is not made faster than it is read, of empty files neither', async () => {
      await using dir = await temporaryDirectory()
      for (let i = 0; i < 1500; i++) writeFileSync(join(dir.path, `${i}`), '')
      let entries = 0
      const chunks = packTree(dir.path, { progress: (done) => (entries = done.entries) })
      await chunks.next()
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect(entries).toBeLessThan(1000)
      await chunks.return(undefined)
      for await (const _ of packTree(dir.path, { progress: (done) => (entries = done.entries) }));
      expect(entries).toBe(1501)
    })

    test('leaves out sockets and the attributes of overlays, with warnings', async () => {
      await using dir = await temporaryDirectory()
      const bind = 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
      await execa('python3', ['-c', bind], { cwd: dir.path })
      await execa('setfattr', ['-n', 'trusted.overlay.opaque', '-v', 'y', dir.path])
      const warnings: LogEvent[] = []
      const archive = await packed(dir.path, { log: (event) => void warnings.push(event) })
      const { stdout } = await execa('tar', ['-t'], { input: archive })
      expect(stdout).toBe('./')
      expect(archive.includes('overlay')).toBe(false)
      expect(warnings.map((event) => 'text' in event && event.text)).toEqual([
        'leaving out attribute trusted.overlay.opaque of ./',
        'leaving out the socket ./socket',
      ])
    })

    test.each([
      ['grows', (path: string) => appendFileSync(path, 'more')],
      ['shrinks', (path: string) => truncateSync(path, 100)],
    ])('is refused when a file %s while it is read', async (how, change) => {
      await using dir = await temporaryDirectory()
      const path = join(dir.path, 'log')
      writeFileSync(path, Buffer.alloc(8 << 20, 'x'))
      let changed = false
      const packing = async () => {
        for await (const _ of packTree(dir.path)) {
          if (!changed) change(path)
          changed = true
        }
      }
      await expect(packing(), how).rejects.toMatchObject({ code: 'FILE_CHANGED', subject: './log' })
    })

    test('ends when it is given up or canceled', async () => {
      await using dir = await temporaryDirectory()
      writeFileSync(join(dir.path, 'big'), Buffer.alloc(8 << 20, 'x'))
      for await (const _ of packTree(dir.path)) break
      const stop = new AbortController()
      const packing = async () => {
        for await (const _ of packTree(dir.path, { signal: stop.signal })) stop.abort()
      }
      await expect(packing()).rejects.toMatchObject({ code: 'CANCELED' })
    })

    test('of a range of ids is refused when an owner is not in it', async () => {
      await using dir = await temporaryDirectory()
      await expect(packed(dir.path, { idShift: 0x80000 })).rejects.toMatchObject({
        code: 'EINVAL',
        subject: './',
      })
    })
  },
)
