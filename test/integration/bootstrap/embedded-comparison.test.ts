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

interface Case {
  readonly release: string
  readonly variant: string
  /** Every difference, with its reason in docs/bootstrap-debian.md. */
  readonly expected: readonly string[]
}

/** The same lines in another order. */
const triggers = '/var/lib/dpkg/triggers/File: content'
const states = '/var/lib/apt/extended_states: content'

// The smallest set of the stable release is part of its others.
const cases: readonly Case[] = [
  {
    release: 'bookworm',
    variant: 'minimal',
    expected: [
      '/etc/shells: content',
      '/usr/bin/gunzip: hard links',
      '/usr/bin/uncompress: hard links',
      states,
    ],
  },
  { release: 'testing', variant: 'minimal', expected: [states, triggers] },
  { release: 'unstable', variant: 'minimal', expected: [states, triggers] },
  { release: 'trixie', variant: 'build', expected: [states] },
  {
    release: 'trixie',
    variant: 'boot',
    expected: [
      '/etc/.resolv.conf.systemd-resolved.bak: only in the second',
      ...['/etc/gshadow-', '/etc/gshadow', '/etc/shadow-', '/etc/shadow'].map(
        (path) => `${path}: content`,
      ),
      ...['apt-daily-upgrade', 'apt-daily'].map(
        (name) => `/etc/systemd/system/timers.target.wants/${name}.timer: content`,
      ),
      states,
    ],
  },
]

/** apt's own, whose owner depends on whether the host's user `_apt` can reach the machines directory. */
const partial = /^\/var\/(cache\/apt\/archives|lib\/apt\/lists)\/partial: (owner|mode)$/

test.skipIf(missing).each(cases)(
  'a tree of $release, variant $variant, is what mmdebstrap makes, file by file and package by package',
  { timeout: 600_000 },
  async ({ release, variant, expected }) => {
    await using dir = await temporaryDirectory()
    const make = async (via: string): Promise<string> => {
      const machinesDirectory = join(dir.path, via)
      // A mirror that stands still will do: both take the same from it.
      const request = { recipe: 'debian', release, variant, via, outdated: 'accepted' } as const
      const plan = await planCreate({ ...request, name: 'tree' }, machinesDirectory)
      const context = { stateDirectory: join(testDirectory, `state-${via}`), log: silent }
      return (await createTree(plan, { machinesDirectory, cache: 'off', ...context })).path
    }
    const [embedded, mmdebstrap] = await Promise.all([make('embedded'), make('mmdebstrap')])
    const differences = await treeDifferences(embedded, mmdebstrap)
    expect(differences.filter((line) => !partial.test(line))).toEqual(expected)
    const read = (tree: string, path: string) => readFileSync(join(tree, path), 'utf8')
    expect(read(embedded, 'var/lib/dpkg/status')).toBe(read(mmdebstrap, 'var/lib/dpkg/status'))
    // The same but for the order.
    for (const [path, between] of [
      ['var/lib/apt/extended_states', '\n\n'],
      ['etc/shells', '\n'],
      ['etc/shadow', '\n'],
      ['var/lib/dpkg/triggers/File', '\n'],
      ['etc/gshadow', '\n'],
    ] as const) {
      const sorted = (tree: string) => read(tree, path).trim().split(between).toSorted()
      expect(sorted(embedded)).toEqual(sorted(mmdebstrap))
    }
  },
)
