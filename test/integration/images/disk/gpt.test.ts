import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { layOut, readGpt, writeGpt } from '../../../../src/images/disk/gpt.ts'
import { derivedGuids } from '../../../../src/images/disk/guid.ts'
import {
  GROW_FILE_SYSTEM,
  partitionType,
  READ_ONLY,
} from '../../../../src/images/disk/partition-types.ts'
import type { SystemDesignator } from '../../../../src/images/disk/system-types.ts'
import type { Architecture } from '../../../../src/recipe.ts'
import { lacks } from '../../../fixtures/requires.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

const guids = derivedGuids('gpt beside the tools')

/** As fdisk calls them. */
const architectures: Readonly<Record<Architecture, string>> = {
  'x86-64': 'x86-64',
  x86: 'x86',
  arm64: 'ARM-64',
  arm: 'ARM',
  riscv64: 'RISC-V-64',
  'ppc64-le': 'PPC64LE',
  s390x: 'S390X',
  loongarch64: 'LoongArch-64',
}

describe.skipIf(lacks('program:sfdisk', 'program:sgdisk'))(
  'partition tables beside the tools',
  () => {
    test('sfdisk and sgdisk find in a table of ours what was written, and no fault', async () => {
      await using directory = await temporaryDirectory()
      const path = join(directory.path, 'disk')
      const { table, sizeBytes } = layOut(guids('disk'), [
        {
          type: partitionType('root', 'arm64'),
          id: guids('root'),
          flags: GROW_FILE_SYSTEM,
          name: 'root-arm64',
          sizeBytes: 3 << 20,
        },
        {
          type: partitionType('root-verity', 'arm64'),
          id: guids('verity'),
          flags: READ_ONLY,
          name: 'Prüfsumme',
          sizeBytes: 5000,
        },
      ])
      const fd = openSync(path, 'w')
      ftruncateSync(fd, sizeBytes)
      for (const { bytes, offset } of writeGpt(table, sizeBytes))
        writeSync(fd, bytes, 0, bytes.length, offset)
      closeSync(fd)
      const told = JSON.parse(execFileSync('sfdisk', ['--json', path], { encoding: 'utf8' }))
        .partitiontable as Record<string, unknown>
      expect(told).toMatchObject({
        label: 'gpt',
        id: table.id.toUpperCase(),
        firstlba: table.firstUsableSector,
        lastlba: table.lastUsableSector,
        sectorsize: 512,
        partitions: table.partitions.map((partition, i) => ({
          start: partition.firstSector,
          size: partition.lastSector - partition.firstSector + 1,
          type: partition.type.toUpperCase(),
          uuid: partition.id.toUpperCase(),
          name: partition.name,
          attrs: i === 0 ? 'GUID:59' : 'GUID:60',
        })),
      })
      expect(execFileSync('sgdisk', ['--verify', path], { encoding: 'utf8' })).toContain(
        'No problems found',
      )
      expect(spawnSync('sfdisk', ['--verify', path], { encoding: 'utf8' }).stderr).not.toMatch(
        /corrupt|differ/i,
      )
    })

    test('a table of sfdisk is read as sfdisk itself reads it', async () => {
      await using directory = await temporaryDirectory()
      const path = join(directory.path, 'disk')
      const made = openSync(path, 'w')
      ftruncateSync(made, 64 << 20)
      closeSync(made)
      const type = partitionType('usr', 'x86-64')
      const input = `label: gpt\nlabel-id: ${guids('disk')}\nsize=10M, type=${type}, uuid=${guids('usr')}, name="usr", attrs="GUID:60"\nsize=5M, type=${partitionType('root', 'x86-64')}\n`
      execFileSync('sfdisk', ['--quiet', path], { input })
      const fd = openSync(path, 'r')
      const table = readGpt((offset, length) => {
        const bytes = Buffer.alloc(length)
        return bytes.subarray(0, readSync(fd, bytes, 0, length, offset))
      }, 64 << 20)
      closeSync(fd)
      const told = JSON.parse(execFileSync('sfdisk', ['--json', path], { encoding: 'utf8' }))
        .partitiontable.partitions as readonly { start: number; size: number; uuid: string }[]
      expect(table).toMatchObject({ id: guids('disk'), sectorBytes: 512 })
      expect(
        table?.partitions.map(({ firstSector, lastSector, id }) => ({
          start: firstSector,
          size: lastSector - firstSector + 1,
          uuid: id.toUpperCase(),
        })),
      ).toEqual(told.map(({ start, size, uuid }) => ({ start, size, uuid })))
      expect(table?.partitions[0]).toMatchObject({ type, name: 'usr', flags: READ_ONLY, number: 1 })
    })

    test('fdisk has the same names for the types', () => {
      const list = execFileSync('sfdisk', ['--label', 'gpt', '--list-types'], { encoding: 'utf8' })
      const words: Readonly<Record<SystemDesignator, string>> = {
        root: 'root',
        usr: '/usr',
        'root-verity': 'root verity',
        'usr-verity': '/usr verity',
        'root-verity-sig': 'root verity sign.',
        'usr-verity-sig': '/usr verity sign.',
      }
      for (const [architecture, theirs] of Object.entries(architectures)) {
        for (const [designator, word] of Object.entries(words)) {
          const type = partitionType(designator as SystemDesignator, architecture as Architecture)
          expect(list).toContain(`${type.toUpperCase()}  Linux ${word} (${theirs})\n`)
        }
      }
    })
  },
)
