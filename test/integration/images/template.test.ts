import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { isImmutable } from '../../../src/images/discover.ts'
import { removeStaleEphemerals } from '../../../src/images/ephemeral.ts'
import { populateFromTemplate } from '../../../src/images/template.ts'
import type { LogEvent } from '../../../src/log.ts'
import { createSubvolume, isSubvolume, isSubvolumeReadOnly } from '../../../src/sys/btrfs.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from './loop-file-system.ts'
import { makeOddTree, treeListing } from './tree-listing.ts'

describe.skipIf(lacks('root', 'program:setfattr', 'program:setfacl', 'program:setcap'))(
  'a tree from a template',
  () => {
    test('is its equal', async () => {
      await using directory = await temporaryDirectory()
      const [template, target] = [join(directory.path, 'template'), join(directory.path, 'target')]
      makeOddTree(template)
      expect(await populateFromTemplate({ template, target, access: 'read-write' })).toBe('copy')
      expect(treeListing(target)).toBe(treeListing(template))
      expect(readdirSync(directory.path).toSorted()).toEqual(['target', 'template'])
    })

    test('is not made again when it exists', async () => {
      await using directory = await temporaryDirectory()
      const target = join(directory.path, 'target')
      mkdirSync(target)
      const events: LogEvent[] = []
      const made = await populateFromTemplate({
        template: '/nowhere',
        target,
        access: 'read-only',
        log: (event) => events.push(event),
      })
      expect(made).toBe('exists')
      expect(readdirSync(target)).toEqual([])
      expect(events).toEqual([
        {
          kind: 'notice',
          text: `directory ${target} exists already, not filled from template /nowhere`,
        },
      ])
    })

    test('does not replace what takes its name meanwhile', async () => {
      await using directory = await temporaryDirectory()
      const [template, target] = [join(directory.path, 'template'), join(directory.path, 'target')]
      mkdirSync(template)
      for (let i = 0; i < 300; i++) writeFileSync(join(template, `file${i}`), '')
      const making = populateFromTemplate({ template, target, access: 'read-write' })
      mkdirSync(target)
      await expect(making).rejects.toMatchObject({ code: 'EEXIST' })
      expect(readdirSync(directory.path).toSorted()).toEqual(['target', 'template'])
      expect(readdirSync(target)).toEqual([])
    })

    test('leaves nothing when it is ended half-way', async () => {
      await using directory = await temporaryDirectory()
      const making = populateFromTemplate({
        template: await debianTree(),
        target: join(directory.path, 'target'),
        access: 'read-write',
        signal: AbortSignal.timeout(30),
      })
      await expect(making).rejects.toMatchObject({ code: 'CANCELED' })
      expect(readdirSync(directory.path)).toEqual([])
    })

    test('leaves a hidden name when its maker is killed, which the next one takes away', async () => {
      await using directory = await temporaryDirectory()
      const target = join(directory.path, 'target')
      const runner = fileURLToPath(new URL('../../../scripts/run.mjs', import.meta.url))
      const script = fileURLToPath(new URL('fill-from-template.ts', import.meta.url))
      const maker = spawn(process.execPath, [runner, script, await debianTree(), target], {
        stdio: 'ignore',
      })
      const ended = new Promise((resolve) => maker.on('exit', resolve))
      const hiddenTrees = (): string[] =>
        readdirSync(directory.path).filter((name) => name.startsWith('.#machine.target'))
      await vi.waitUntil(() => hiddenTrees().length === 1, { timeout: 20_000, interval: 2 })
      const [hidden] = hiddenTrees()
      await vi.waitUntil(() => existsSync(join(directory.path, hidden as string, 'usr')), {
        timeout: 20_000,
        interval: 2,
      })
      expect(removeStaleEphemerals(directory.path)).toEqual([])
      maker.kill('SIGKILL')
      await ended
      expect(hiddenTrees()).toEqual([hidden])
      expect(existsSync(target)).toBe(false)
      mkdirSync(join(directory.path, 'template'))
      await populateFromTemplate({
        template: join(directory.path, 'template'),
        target,
        access: 'read-write',
      })
      expect(readdirSync(directory.path).toSorted()).toEqual(['target', 'template'])
    })

    test.skipIf(lacks('loop devices'))(
      'says so, and leaves nothing, when the disk is full',
      async () => {
        await using directory = await temporaryDirectory()
        using ext4 = loopFileSystem('ext4', directory.path)
        const before = readdirSync(ext4.path)
        const target = join(ext4.path, 'target')
        const filling = populateFromTemplate({
          template: join(await debianTree(), 'usr'),
          target,
          access: 'read-write',
        })
        await expect(filling).rejects.toMatchObject({
          code: 'ENOSPC',
          hint: `make room in ${ext4.path}`,
        })
        expect(readdirSync(ext4.path)).toEqual(before)
      },
    )

    test('is immutable when it is to be read-only', async () => {
      await using directory = await temporaryDirectory()
      const [template, target] = [join(directory.path, 'template'), join(directory.path, 'target')]
      mkdirSync(template)
      await populateFromTemplate({ template, target, access: 'read-only' })
      expect(isImmutable(target)).toBe(true)
      execFileSync('chattr', ['-i', target])
    })

    test('needs a template that is a directory', async () => {
      await using directory = await temporaryDirectory()
      const target = join(directory.path, 'target')
      const from = (template: string): Promise<unknown> =>
        populateFromTemplate({ template, target, access: 'read-write' })
      await expect(from(join(directory.path, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(from('/etc/passwd')).rejects.toMatchObject({ code: 'ENOTDIR' })
      expect(existsSync(target)).toBe(false)
    })

    test.skipIf(lacks('btrfs', 'loop devices'))(
      'is a snapshot of a subvolume, and a subvolume when copied, on btrfs',
      async () => {
        await using directory = await temporaryDirectory()
        using btrfs = loopFileSystem('btrfs', directory.path)
        const at = (name: string): string => join(btrfs.path, name)
        createSubvolume(at('template'))
        makeOddTree(at('template'))
        expect(
          await populateFromTemplate({
            template: at('template'),
            target: at('a'),
            access: 'read-only',
          }),
        ).toBe('snapshot')
        expect(isSubvolumeReadOnly(at('a'))).toBe(true)
        expect(treeListing(at('a'))).toBe(treeListing(at('template')))

        mkdirSync(at('plain'))
        writeFileSync(at('plain/file'), Buffer.alloc(1 << 20, 'x'))
        expect(
          await populateFromTemplate({
            template: at('plain'),
            target: at('b'),
            access: 'read-write',
          }),
        ).toBe('copy')
        expect(isSubvolume(at('b'))).toBe(true)
        expect(treeListing(at('b'))).toBe(treeListing(at('plain')))
      },
    )
  },
)
