/** What comes in from elsewhere is on the disk before it has its name: a power cut leaves all of it or nothing. */
import { execa } from 'execa'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

/** The calls of an import that matter here, in their order. */
async function callsOfImport(...options: string[]): Promise<string[]> {
  await using room = await temporaryDirectory()
  const at = (name: string) => join(room.path, name)
  mkdirSync(at('machines'))
  mkdirSync(at('tree'))
  writeFileSync(at('tree/file'), 'what must not be lost')
  const program = tsnspawnBuild('--machines-dir', at('machines'), 'import-fs', at('tree'), 'a')
  const traced = ['-f', '-qq', '-o', at('trace'), '-e', 'trace=syncfs,rename,renameat2']
  await execa('strace', [...traced, ...program, ...options])
  return readFileSync(at('trace'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('syncfs(') || line.includes('/machines/a"'))
    .map((line) => line.replace(/^\d+ +(\w+)\(.* = (-?\d+).*$/, '$1 $2'))
}

describe.skipIf(lacks('root', 'program:strace'))('a new image', () => {
  test('is on the disk before it gets its name', async () => {
    expect(await callsOfImport()).toEqual(['syncfs 0', 'rename 0'])
  })

  test('does not wait for the disk when it is not to', async () => {
    expect(await callsOfImport('--sync=no')).toEqual(['rename 0'])
  })
})
