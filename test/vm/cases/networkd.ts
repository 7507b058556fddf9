/** Networks that systemd-networkd configures on the host, by the files that it brings. */
import assert from 'node:assert/strict'
import { smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { eventually, startOurs, tool } from '../guest/programs.ts'

const tree = once(async () => smallTree(await workDirectory()))

interface Link {
  readonly ifname: string
  readonly master?: string
  readonly addr_info: readonly { readonly family: string; readonly local: string }[]
}

async function links(): Promise<readonly Link[]> {
  return JSON.parse(await tool('ip', '-json', 'address', 'show')) as Link[]
}

async function link(name: string): Promise<Link | undefined> {
  return (await links()).find(({ ifname }) => ifname === name)
}

const privateNet = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/

/** The address that networkd has given an interface of the host. */
async function addressOf(name: string): Promise<string> {
  let found = ''
  await eventually(async () => {
    const given = (await link(name))?.addr_info.find(({ family }) => family === 'inet')
    found = given?.local ?? ''
    assert.match(found, privateNet)
  })
  return found
}

/** Takes a lease, and says what it has heard before it is ready. */
const lease = [
  'ip link set host0 up',
  'udhcpc -i host0 -f -q -n -t 20 -T 1 -s /bin/true 2>&1 | grep "lease of" >/root/lease || exit 1',
  'echo ready',
  'sleep 80',
].join('\n')

export const networkd = group('networkd', (test) => {
  test('the host end of a cable gets an address, and gives one to the container', async () => {
    const own = ['--register=no', '-D', await tree(), '-M', 'cabled', '-n']
    await using running = await startOurs(...own, 'sh', '-c', lease)
    const host = await addressOf('ve-cabled')
    const [, inside = ''] = /lease of (\S+) obtained/.exec(await leased()) ?? []
    const net = (address: string) => address.split('.').slice(0, 3).join('.')
    assert.equal(net(inside), net(host))
    assert.match(
      await tool('networkctl', 'status', '--no-pager', 've-cabled'),
      /Network File: .*80-container-ve\.network/,
    )
    running.signal('SIGKILL')
    await running.ended
    await eventually(async () => assert.equal(await link('ve-cabled'), undefined))
  })

  test('so does the bridge of a zone, for all its members', async () => {
    const own = ['--register=no', '-D', await tree(), '-M', 'member', '--network-zone=lab']
    await using running = await startOurs(...own, 'sh', '-c', lease)
    await addressOf('vz-lab')
    // Of the network that the bridge was in then: networkd takes another where the carrier of the new bridge was lost for a
    // moment, for systemd-nspawn as well.
    assert.match(/lease of (\S+) obtained/.exec(await leased())?.[1] ?? '', privateNet)
    assert.equal((await link('vb-member'))?.master, 'vz-lab')
    running.signal('SIGTERM')
    await running.ended
    assert.equal(await link('vz-lab'), undefined)
    assert.equal(await link('vb-member'), undefined)
  })
})

async function leased(): Promise<string> {
  return await tool('cat', `${await tree()}/root/lease`)
}
