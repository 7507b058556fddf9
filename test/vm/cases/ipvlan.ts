/** Links that a kernel may lack. */
import assert from 'node:assert/strict'
import { NetworkNamespace } from '../../fixtures/network-namespace.ts'
import { systemdNspawn, tsnspawn } from '../../fixtures/programs.ts'
import { smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { start, tool } from '../guest/programs.ts'

const tree = once(async () => smallTree(await workDirectory()))

/** A network with two ends of a cable, `p0` and `p1`, both up. */
async function network(): Promise<NetworkNamespace> {
  const net = await NetworkNamespace.make()
  await net.ip('link', 'add', 'p0', 'type', 'veth', 'peer', 'name', 'p1')
  for (const name of ['p0', 'p1']) await net.ip('link', 'set', name, 'up')
  await net.ip('address', 'add', '10.9.0.1/24', 'dev', 'p1')
  return net
}

/** The links inside, as the host's ip tells of them. */
async function linksInside([program, ...args]: readonly [string, ...string[]]): Promise<unknown> {
  await using running = await start(program, ...args, 'sh', '-c', 'echo ready; sleep 4711')
  const pid = await tool('pgrep', '-xf', 'sleep 4711')
  const told = await tool('nsenter', `--net=/proc/${pid}/ns/net`, 'ip', '-d', '-j', 'link')
  const links = JSON.parse(told) as {
    ifname: string
    flags: readonly string[]
    linkinfo?: object
  }[]
  running.signal('SIGTERM')
  await running.ended
  return links.map(({ ifname, flags, linkinfo }) => ({ ifname, flags, linkinfo }))
}

export const ipvlan = group('ipvlan', (test) => {
  // The original looks for the interface in /sys, which is that of the machine's own network.
  for (const option of ['--network-ipvlan=own0', '--network-ipvlan=own0:other']) {
    test(`${option}: the same links as with systemd-nspawn`, async () => {
      await tool('ip', 'link', 'add', 'own0', 'type', 'veth', 'peer', 'name', 'own1')
      const common = ['--quiet', '--register=no', '-D', await tree(), '-M', 'both', option]
      const mine = await linksInside(tsnspawn('--console=pipe', ...common))
      const real = await linksInside(systemdNspawn('--pipe', '--keep-unit', ...common))
      assert.match(JSON.stringify(real), /"ipvlan"/)
      assert.deepEqual(mine, real)
      await tool('ip', 'link', 'delete', 'own0')
    })
  }

  test('the other end of the cable is reached over it, and nothing stays', async () => {
    await using net = await network()
    const up = 'ip addr add 10.9.0.2/24 dev iv-p0; ip link set iv-p0 up; ping -c1 -W9 10.9.0.1'
    const options = ['--quiet', '--console=pipe', '--register=no', '--network-ipvlan=p0']
    const argv = tsnspawn(...options, '-D', await tree(), 'sh', '-c', up)
    const { stdout, stderr } = await net.run(argv)
    assert.equal(stderr, '')
    assert.match(stdout, /1 packets received/)
    assert.deepEqual(await net.links(), ['lo', 'p0', 'p1'])
  })
})
