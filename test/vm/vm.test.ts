/** What needs another kernel or init than a test host may have: cases in a virtual machine, which is started once for all. */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { lacks } from '../fixtures/requires.ts'
import { lanes } from './lanes.ts'
import { Machine } from './machine/machine.ts'
import { caseId } from './protocol.ts'

const missing = lacks(
  'root',
  'an x86-64 processor',
  'overlay',
  ...(['qemu-system-x86_64', 'mkfs.ext4', 'apt-get', 'dpkg-deb', 'mmdebstrap'] as const).map(
    (name) => `program:${name}` as const,
  ),
)

/** Names of groups; all without any. */
const named = (process.env['TSNSPAWN_VM_CASES'] ?? '').split(' ').filter((name) => name !== '')
const groups = Object.values(lanes)
  .flat()
  .filter(({ name }) => named.length === 0 || named.includes(name))

describe.skipIf(missing)('in a virtual machine', () => {
  let machine: Machine
  beforeAll(async () => {
    machine = await Machine.boot(
      groups.map(({ name }) => name),
      Object.keys(lanes),
    )
  }, 600_000)
  afterAll(() => machine[Symbol.asyncDispose]())

  for (const { name, cases } of groups) {
    describe(name, () => {
      for (const { title } of cases) {
        test(title, async ({ annotate }) => {
          const { ms, failure } = await machine.outcome(caseId(name, title))
          await annotate(`${(ms / 1000).toFixed(1)} s in the machine`)
          if (failure !== undefined)
            throw new Error(`${failure}\n(console.log and journal.log are in ${machine.directory})`)
        })
      }
    })
  }
})
