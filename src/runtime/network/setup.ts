/**
 * Addresses for a container where nobody else gives any (`--network-setup=auto`): a free net on the cable or in the zone,
 * with the host as its router, which masquerades. Names are resolved by what the plan has put into resolv.conf(5).
 */
import { chownSync, writeFileSync } from 'node:fs'
import type { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { isLeftBehind, ownOwner } from '../../owner.ts'
import type { NetworkSetup } from '../../plan/network.ts'
import { close, open, O_DIRECTORY, O_PATH } from '../../sys/fd.ts'
import { descriptorPath, makeDirectoryInRoot } from '../../sys/openat2.ts'
import { ip, ipOf, nft, quietly } from './tools.ts'

const PREFIX = 'tsnspawn-masquerade-'
const tablePattern = /^tsnspawn-masquerade-(\d+-\d+)$/

/** 10.64.0.0/10: seldom used, and large enough for a net for each machine. */
const SPACE = { base: (10 << 24) | (64 << 16), bits: 10 }
const ATTEMPTS = 64

/**
 * @param leader a process in the container's network namespace, whose root is the container's
 * @param owner uid of the container's root on the host
 * @throws NspawnError `NO_FREE_NET`, `PROGRAM_…`
 */
export function setUpNetwork(
  setup: NetworkSetup,
  leader: number,
  owner: number,
  cleanup: CleanupStack,
): void {
  const { hostInterface, containerInterface, prefixLength } = setup
  const net = ownNet(hostInterface, prefixLength) ?? freeNet(setup)
  const host = `${dotted(net + 1)}/${prefixLength}`
  const inside = dotted(net + placeIn(setup, net))
  ip('cannot give the host an address', 'address', 'replace', host, 'dev', hostInterface)
  ip('cannot bring up the cable', 'link', 'set', 'dev', hostInterface, 'up')
  const step = 'cannot give the container an address'
  ipOf(leader, step, 'address', 'replace', `${inside}/${prefixLength}`, 'dev', containerInterface)
  ipOf(leader, step, 'link', 'set', 'dev', containerInterface, 'up')
  ipOf(leader, step, 'route', 'replace', 'default', 'via', dotted(net + 1))
  tellNetworkd(leader, owner, setup, {
    inside: `${inside}/${prefixLength}`,
    router: dotted(net + 1),
  })
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  const table = PREFIX + ownOwner()
  const range = `${dotted(net)}/${prefixLength}`
  const rule = `ip saddr ${range} ip daddr != ${range} masquerade`
  nft(
    'cannot masquerade',
    `table inet ${table} { chain postrouting { type nat hook postrouting priority 99; policy accept; ${rule}; }; }`,
  )
  cleanup.defer('masquerading', () => {
    quietly(() => nft('cannot remove a table', `delete table inet ${table}`))
  })
}

/** Tables that killed containers have left. */
export function removeStaleMasquerading(): void {
  for (const line of nft('cannot look at tables of rules', 'list tables inet').split('\n')) {
    const name = line.replace(/^table inet /, '')
    if (isLeftBehind(name, tablePattern))
      quietly(() => nft('cannot remove a table', `delete table inet ${name}`))
  }
}

interface ToldAddress {
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[]
}

/** The bridge of a zone has its net already when it is not the first that comes. */
function ownNet(hostInterface: string, prefixLength: number): number | undefined {
  const told = ip(
    'cannot look at addresses',
    '-4',
    '-json',
    'address',
    'show',
    'dev',
    hostInterface,
  )
  const [found] = (JSON.parse(told === '' ? '[]' : told) as ToldAddress[]).flatMap(
    ({ addr_info: addresses = [] }) => addresses.filter((one) => one.prefixlen === prefixLength),
  )
  return found === undefined ? undefined : (number(found.local) & mask(prefixLength)) >>> 0
}

/** One that no route leads to yet. */
function freeNet({ netHash, prefixLength }: NetworkSetup): number {
  const routes = ip('cannot look at routes', '-4', '-json', 'route', 'show', 'table', 'all')
  const taken = (JSON.parse(routes === '' ? '[]' : routes) as { dst: string }[])
    .filter(({ dst }) => dst !== 'default')
    .map(({ dst }) => {
      const [address = '', length = '32'] = dst.split('/')
      return { base: number(address), length: Number(length) }
    })
  const nets = 2 ** (prefixLength - SPACE.bits)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const net = SPACE.base + ((netHash + attempt * 7919) % nets) * 2 ** (32 - prefixLength)
    const overlaps = taken.some(({ base, length }) => {
      const common = mask(Math.min(length, prefixLength))
      return (base & common) === (net & common)
    })
    if (!overlaps) return net
  }
  throw new NspawnError('there is no free net for the container', {
    code: 'NO_FREE_NET',
    operation: 'ip route',
    hint: 'routes of the host cover all of 10.64.0.0/10; give addresses yourself, without --network-setup=auto',
  })
}

/** A place that nobody else in the zone has; the first is the host's. */
function placeIn({ hostHash, hostInterface, prefixLength }: NetworkSetup, net: number): number {
  const places = 2 ** (32 - prefixLength) - 3
  const told = ip(
    'cannot look at neighbours',
    '-4',
    '-json',
    'neighbour',
    'show',
    'dev',
    hostInterface,
  )
  const neighbours = (JSON.parse(told === '' ? '[]' : told) as { dst: string }[]).map(({ dst }) =>
    number(dst),
  )
  for (let attempt = 0; attempt < places; attempt++) {
    const place = 2 + ((hostHash + attempt) % places)
    if (!neighbours.includes(net + place)) return place
  }
  return 2
}

/** networkd in the container would take the address for a stranger's, and ask for another one. */
function tellNetworkd(
  leader: number,
  owner: number,
  { containerInterface }: NetworkSetup,
  { inside, router }: { readonly inside: string; readonly router: string },
): void {
  const root = open(`/proc/${leader}/root`, O_PATH | O_DIRECTORY)
  try {
    const inode = { mode: 0o755, owner }
    const directory = makeDirectoryInRoot(root, '/run/systemd/network', inode)
    try {
      const text = [
        ...['[Match]', `Name=${containerInterface}`, 'Kind=veth', ''],
        ...['[Network]', `Address=${inside}`, `Gateway=${router}`, ''],
      ]
      const path = descriptorPath(directory, '10-tsnspawn.network')
      writeFileSync(path, text.join('\n'), { mode: 0o644 })
      chownSync(path, owner, owner)
    } finally {
      close(directory)
    }
  } finally {
    close(root)
  }
}

function mask(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0
}

function number(address: string): number {
  return address.split('.').reduce((sum, part) => ((sum << 8) | Number(part)) >>> 0, 0)
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}
