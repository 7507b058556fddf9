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
  ...(['qemu-system-x86_64', 'setpriv', 'mkfs.ext4', 'apt-get', 'mmdebstrap'] as const).map(
    (name) => `program:${name}` as const,
  ),
)

/** Names of groups; all without any. */
const named = (process.env['TSNSPAWN_VM_CASES'] ?? '').split(' ').filter((name) => name !== '')
const groups = Object.values(lanes)
  .flat()
  .filter(({ name }) => named.length === 0 || named.includes(name))

describe.skipIf(missing)('in a virtual machine', () => {
  let machine: Machine | undefined
  /** What is measured here is only how long a test has waited for its case. */
  const times: string[] = []
  beforeAll(async () => {
    machine = await Machine.boot(
      groups.map(({ name }) => name),
      Object.keys(lanes),
    )
  }, 600_000)
  afterAll(async () => {
    console.log(['in the machine:', ...times].join('\n'))
    await machine?.[Symbol.asyncDispose]()
  })

  for (const { name, cases } of groups) {
    for (const { title } of cases) {
      test(`${name}: ${title}`, async () => {
        const { ms, failure } = await machine!.outcome(caseId(name, title))
        times.push(`${(ms / 1000).toFixed(1).padStart(6)} s  ${name}: ${title}`)
        if (failure !== undefined)
          throw new Error(`${failure}\n(console.log and journal.log are in ${machine!.directory})`)
      })
    }
  }
})
