/** Limits that builds are held to, in a unified hierarchy of control groups that systemd owns. */
import assert from 'node:assert/strict'
import { runContainer } from '../../../src/runtime/client.ts'
import { defaultSettings, type ResourceControl } from '../../../src/settings/settings.ts'
import { smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'

const tree = once(async () => smallTree(await workDirectory()))

async function run(resourceControl: ResourceControl, command: string) {
  return await runContainer({
    settings: {
      ...defaultSettings(),
      root: { kind: 'directory', path: await tree() },
      register: 'no',
      quiet: true,
      resourceControl,
      command: ['sh', '-c', command],
    },
    stdio: 'capture',
  })
}

export const limits = group('limits', (test) => {
  test('processes that take more memory than they may are ended, and that is told', async () => {
    const eat = 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'
    const { signal, limitHits } = await run({ memoryBytes: 30 << 20 }, eat)
    assert.equal(signal, 9)
    assert.deepEqual(limitHits, ['memory'])
  })

  test('no more tasks are made than there may be, and that is told', async () => {
    const fork = 'for i in 1 2 3 4 5 6 7 8 9; do sleep 20 & done; echo all'
    const { stdout, limitHits } = await run({ tasks: 5 }, fork)
    assert.doesNotMatch(stdout ?? '', /all/)
    assert.deepEqual(limitHits, ['tasks'])
  })

  test('within its limits nothing is hit', async () => {
    const wide = { memoryBytes: 200 << 20, tasks: 100, cpus: 1.5 }
    const { status, stdout, limitHits } = await run(wide, 'echo done')
    assert.deepEqual([status, stdout, limitHits], [0, 'done\n', []])
  })
})
