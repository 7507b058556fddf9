/** Machines that systemd-machined knows of. */
import assert from 'node:assert/strict'
import { smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { build, call, said, startOurs, tool } from '../guest/programs.ts'

const tree = once(async () => smallTree(await workDirectory()))

const machines = () => tool('machinectl', 'list', '--no-legend')

/** Ends when it is told to. */
const payload = ['sh', '-c', 'trap "exit 0" TERM; echo ready; sleep 80 & wait']

async function properties(unit: string, ...names: readonly string[]): Promise<string[]> {
  const shown = await tool('systemctl', 'show', unit, ...names.map((name) => `--property=${name}`))
  return shown.split('\n').toSorted()
}

export const machined = group('machined', (test) => {
  test('machinectl lists a machine and tells of it', async () => {
    await using running = await startOurs('-D', await tree(), '-M', 'seen', ...payload)
    assert.match(await machines(), /^seen +container +systemd-nspawn +tiny/m)
    const shown = await tool('machinectl', 'show', 'seen')
    assert.match(shown, /^Unit=machine-seen\.scope$/m)
    assert.match(shown, /^Class=container$/m)
    assert.match(shown, new RegExp(`^RootDirectory=${await tree()}$`, 'm'))
    const leader = /^Leader=(\d+)$/m.exec(shown)?.[1]
    assert.equal(await tool('ps', '-o', 'comm=', '-p', String(leader)), 'sh')
    assert.match(await tool('machinectl', 'status', 'seen'), /Unit: machine-seen\.scope/)
    assert.match(await said(build('list')), /seen/)
    running.signal('SIGTERM')
    await running.ended
    assert.equal(await machines(), '')
  })

  test('machinectl terminate ends it, and its scope goes', async () => {
    await using running = await startOurs('-D', await tree(), '-M', 'ended', ...payload)
    await tool('machinectl', 'terminate', 'ended')
    await running.ended
    assert.equal(await machines(), '')
    const { stdout } = await call('systemctl', 'is-active', 'machine-ended.scope')
    assert.equal(stdout, 'inactive')
    assert.doesNotMatch((await build('list')).stdout, /ended/)
  })

  test('with --register=no machined does not see it', async () => {
    const own = ['--register=no', '-D', await tree(), '-M', 'unseen']
    await using running = await startOurs(...own, ...payload)
    assert.equal(await machines(), '')
    assert.notEqual((await call('machinectl', 'status', 'unseen')).status, 0)
    running.signal('SIGTERM')
    await running.ended
  })

  test('a machine that was killed with its runtime is forgotten', async () => {
    const name = 'killed-machine'
    await using running = await startOurs('-D', await tree(), '-M', name, ...payload)
    running.signal('SIGKILL')
    await running.ended
    // The kernel ends the container then, and systemd hears of it.
    await tool(
      'sh',
      '-c',
      'for i in $(seq 50); do [ -n "$(machinectl list --no-legend)" ] || exit 0; sleep 0.2; done; exit 1',
    )
    await using again = await startOurs('-D', await tree(), '-M', name, ...payload)
    assert.match(await machines(), /^killed-machine /)
    again.signal('SIGTERM')
    await again.ended
  })

  test('the scope of a machine has its properties', async () => {
    const limits = ['--property=MemoryMax=90M', '--property=TasksMax=50']
    await using running = await startOurs(
      '-D',
      await tree(),
      '-M',
      'limited',
      ...limits,
      ...payload,
    )
    const unit = 'machine-limited.scope'
    assert.deepEqual(await properties(unit, 'Slice', 'MemoryMax', 'TasksMax', 'Delegate'), [
      ...['Delegate=yes', 'MemoryMax=94371840', 'Slice=machine.slice', 'TasksMax=50'],
    ])
    const path = `/sys/fs/cgroup/machine.slice/${unit}`
    assert.equal(await tool('cat', `${path}/memory.max`, `${path}/pids.max`), '94371840\n50')
    running.signal('SIGTERM')
    await running.ended
  })
})
