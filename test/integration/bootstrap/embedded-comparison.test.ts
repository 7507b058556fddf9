/** The embedded bootstrapper beside mmdebstrap, on the archive that this host's apt is set to. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import { silent } from '../../../src/log.ts'
import { treeDifferences } from '../../fixtures/compare-trees.ts'
import { testDirectory } from '../../fixtures/debian-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks('root', 'program:mmdebstrap', 'program:getfattr')

/** Every difference, with its reason in docs/bootstrap-debian.md. */
const expected: Readonly<Record<string, readonly string[]>> = {
  trixie: ['/var/lib/apt/extended_states: content'],
  bookworm: [
    '/etc/shells: content',
    '/usr/bin/gunzip: hard links',
    '/usr/bin/uncompress: hard links',
    '/var/lib/apt/extended_states: content',
  ],
}

/** apt's own, whose owner depends on whether the host's user `_apt` can reach the machines directory. */
const partial = /^\/var\/(cache\/apt\/archives|lib\/apt\/lists)\/partial: (owner|mode)$/

test.skipIf(missing).each(['trixie', 'bookworm'])(
  'a tree of %s is what mmdebstrap makes, file by file and package by package',
  { timeout: 400_000 },
  async (release) => {
    await using dir = await temporaryDirectory()
    const made: Record<string, string> = {}
    for (const via of ['embedded', 'mmdebstrap']) {
      const plan = await planCreate({ recipe: 'debian', release, via, name: via }, dir.path)
      const tree = await createTree(plan, {
        machinesDirectory: dir.path,
        cache: 'off',
        stateDirectory: join(testDirectory, 'state'),
        log: silent,
      })
      made[via] = tree.path
    }
    const { embedded, mmdebstrap } = made as { embedded: string; mmdebstrap: string }
    const differences = await treeDifferences(embedded, mmdebstrap)
    expect(differences.filter((line) => !partial.test(line))).toEqual(expected[release])
    const read = (tree: string, path: string) => readFileSync(join(tree, path), 'utf8')
    expect(read(embedded, 'var/lib/dpkg/status')).toBe(read(mmdebstrap, 'var/lib/dpkg/status'))
    // The same but for the order.
    for (const [path, between] of [
      ['var/lib/apt/extended_states', '\n\n'],
      ['etc/shells', '\n'],
    ] as const) {
      const sorted = (tree: string) => read(tree, path).trim().split(between).toSorted()
      expect(sorted(embedded)).toEqual(sorted(mmdebstrap))
    }
  },
)
