/** Containers as units of the host's systemd, and in them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { systemdNspawn, tsnspawn } from '../../fixtures/programs.ts'
import { smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { build, call, eventually, ours, refused, said, startOurs, tool } from '../guest/programs.ts'

const tree = once(async () => smallTree(await workDirectory()))

const payload = ['sh', '-c', 'trap "exit 0" TERM; echo ready; sleep 80 & wait']

async function show(unit: string, ...names: readonly string[]): Promise<string[]> {
  const shown = await tool('systemctl', 'show', unit, ...names.map((name) => `--property=${name}`))
  return shown.split('\n').toSorted()
}

export const units = group('units', (test) => {
  test('--slice= and --property= make a scope, in that slice and with these limits', async () => {
    const own = ['--register=no', '-D', await tree(), '-M', 'box']
    const where = ['--slice=own.slice', '--property=MemoryMax=100M', '--property=CPUWeight=50']
    await using running = await startOurs(...own, ...where, ...payload)
    assert.deepEqual(await show('box.scope', 'Slice', 'MemoryMax', 'CPUWeight'), [
      ...['CPUWeight=50', 'MemoryMax=104857600', 'Slice=own.slice'],
    ])
    const path = '/sys/fs/cgroup/own.slice/box.scope'
    assert.equal(await tool('cat', `${path}/memory.max`, `${path}/cpu.weight`), '104857600\n50')
    const pid = await tool('pgrep', '-xf', 'sleep 80')
    assert.equal(await tool('cat', `/proc/${pid}/cgroup`), '0::/own.slice/box.scope/payload')
    running.signal('SIGTERM')
    await running.ended
    assert.equal(existsSync(path), false)
  })

  test('the kernel holds a container to its MemoryMax=', async () => {
    // In the end it has 64 MiB.
    const eat = 'x=0123456789abcdef; while [ ${#x} -lt 67108864 ]; do x=$x$x; done; echo whole'
    const run = (limit: string) =>
      tree().then((path) =>
        ours('-D', path, '-M', 'eater', `--property=MemoryMax=${limit}`, 'sh', '-c', eat),
      )
    assert.equal(await said(run('1G')), 'whole')
    const { status, stdout } = await run('30M')
    assert.deepEqual({ status, stdout }, { status: 1, stdout: '' })
  })

  test('a property that systemd does not know is refused', async () => {
    const run = ours('-D', await tree(), '-M', 'odd', '--property=NoSuch=1', 'echo', 'started')
    await refused(run, /NoSuch/)
    assert.equal((await call('systemctl', 'is-active', 'odd.scope')).stdout, 'inactive')
  })

  test('a container divides what its scope has, as with systemd-nspawn', async () => {
    const common = ['--quiet', '-D', await tree(), 'cat', '/sys/fs/cgroup/cgroup.controllers']
    const mine = await said(call(...tsnspawn('--console=pipe', ...common)))
    assert.equal(mine, await said(call(...systemdNspawn('--pipe', ...common))))
    assert.match(mine, /\bmemory\b/)
  })

  test('with --keep-unit a container stays in its service, as with systemd-nspawn', async () => {
    const seen: string[] = []
    const common = ['--quiet', '--register=no', '--keep-unit', '-D', await tree()]
    const command = ['cat', '/proc/self/cgroup']
    for (const program of [tsnspawn('--console=pipe'), systemdNspawn('--pipe')]) {
      const service = ['systemd-run', '--quiet', '--pipe', '--wait', '--unit=kept'] as const
      const argv = [...program, ...common, ...command]
      seen.push(await said(call(...service, '--property=Delegate=yes', ...argv)))
      await call('systemctl', 'reset-failed', 'kept.service')
    }
    assert.deepEqual(seen[0], seen[1])
  })

  test('start makes a unit that says when the machine is up, and that stops in good order', async () => {
    await said(build('start', 'inner'))
    const unit = 'tsnspawn@inner.service'
    assert.deepEqual(await show(unit, 'ActiveState', 'SubState', 'Type', 'NotifyAccess'), [
      ...['ActiveState=active', 'NotifyAccess=main', 'SubState=running', 'Type=notify'],
    ])
    assert.match(await tool('machinectl', 'list', '--no-legend'), /^inner +container/m)
    assert.match(await tool('machinectl', 'show', 'inner'), /^Unit=tsnspawn@inner\.service$/m)
    assert.match(await tool('systemctl', 'show', unit, '--property=ControlGroup'), /machine\.slice/)
    const running = ['shell', 'inner', '/usr/bin/systemctl', 'is-system-running', '--wait']
    await eventually(async () => assert.match((await build(...running)).stdout, /^running/))
    const inside = ['shell', 'inner', '/bin/cat', '/sys/fs/cgroup/cgroup.controllers'] as const
    assert.match((await build(...inside)).stdout, /\bmemory\b/)
    await tool('systemctl', 'stop', unit)
    const journal = await tool('journalctl', '--output=cat', `--unit=${unit}`)
    assert.match(journal, /Stopped target multi-user[^]*Halting system[^]*Deactivated successfully/)
    assert.doesNotMatch(journal, /timed out|Failed with result|Killing process/)
    assert.equal(await tool('machinectl', 'list', '--no-legend'), '')
  })

  test('enable and disable are those of systemctl', async () => {
    const state = async () =>
      (await call('systemctl', 'is-enabled', 'tsnspawn@inner.service')).stdout
    assert.equal((await build('enable', 'inner')).status, 0)
    assert.equal(await state(), 'enabled')
    assert.equal((await build('disable', 'inner')).status, 0)
    assert.equal(await state(), 'disabled')
  })
})
