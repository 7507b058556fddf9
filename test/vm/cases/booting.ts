/** A system that boots where control groups are of version 2 only and the host's init is systemd. */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { tsnspawn } from '../../fixtures/programs.ts'
import { group } from '../guest/group.ts'
import { build, call, eventually, said, tool } from '../guest/programs.ts'

const IMAGE = '/var/lib/machines/inner'
const UNIT = 'boot-case.service'

/** Boots the tree as a service, which is up when the system in it says so. */
async function boot(...options: string[]): Promise<void> {
  const service = ['--quiet', `--unit=${UNIT}`, '--property=Delegate=yes', '--service-type=notify']
  const machine = ['--boot', '--notify-ready=yes', '-M', 'booted', '-D', IMAGE, '-x']
  const argv = tsnspawn('--quiet', '--console=read-only', ...machine, ...options)
  await said(call('systemd-run', ...service, ...argv))
}

async function halt(): Promise<void> {
  assert.equal((await build('poweroff', 'booted')).status, 0)
  await eventually(async () => {
    const { stdout } = await call('systemctl', 'is-active', UNIT)
    assert.equal(stdout, 'inactive')
  })
}

export const booting = group('booting', (test) => {
  test('a Debian is ready before its service is, and all its units are well', async () => {
    await boot()
    const state = await build(
      'shell',
      'booted',
      '/usr/bin/systemctl',
      'is-system-running',
      '--wait',
    )
    assert.equal(state.stdout.trim(), 'running', state.stderr)
    const mounts = await build('shell', 'booted', '/bin/cat', '/proc/mounts')
    assert.match(mounts.stdout, /^\S+ \/sys\/fs\/cgroup cgroup2 /m)
    assert.match(await tool('machinectl', 'list', '--no-legend'), /^booted +container/m)
    await halt()
    assert.equal(await tool('machinectl', 'list', '--no-legend'), '')
  })

  test('its control group is delegated to its own root, and its units are in it', async () => {
    await boot('-U', '-n')
    const shown = await tool('machinectl', 'show', 'booted', '--property=Leader', '--value')
    const path = (await tool('cat', `/proc/${shown}/cgroup`)).replace(/^0::/, '/sys/fs/cgroup')
    const payload = path.replace(/\/init\.scope$/, '')
    assert.match(payload, /machine-booted\.scope\/payload$/)
    const owner = Number((await tool('cat', `/proc/${shown}/uid_map`)).trim().split(/ +/)[1])
    assert.ok(owner >= 65536)
    for (const name of ['', '/cgroup.procs', '/cgroup.subtree_control'])
      assert.equal(statSync(`${payload}${name}`).uid, owner)
    assert.equal(statSync(`${payload}/memory.max`).uid, 0)
    assert.ok(statSync(`${payload}/system.slice`).isDirectory())
    // networkd inside takes what networkd outside gives.
    await eventually(async () => {
      const { stdout } = await build('shell', 'booted', '/usr/bin/networkctl', 'status', 'host0')
      assert.match(stdout, /Address: (10|172|192)\.[^]*DHCP/)
    })
    await halt()
  })
})
