/**
 * Addresses for a container where nobody else gives any (`--network-setup=auto`): a free net on the cable or in the zone,
 * with the host as its router, which masquerades. Names are resolved by what the plan has put into resolv.conf(5).
 */
import { fchownSync, statSync, writeFileSync, writeSync } from 'node:fs'
import type { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { ownOwner } from '../../owner.ts'
import type { NetworkSetup } from '../../plan/network.ts'
import {
  close,
  open,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
} from '../../sys/fd.ts'
import { descriptorPath, makeDirectoryInRoot, withPathInRoot } from '../../sys/openat2.ts'
import { dotted, freeNet, neighbours, netOf } from './addresses.ts'
import { note, notes } from './notes.ts'
import { ip, ipOf, nft, quietly } from './tools.ts'
import { withZones } from './zone.ts'

export const MASQUERADE_PREFIX = 'tsnspawn-masquerade-'

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
  const { net, place } = withZones(() => claimAddress(setup, cleanup))
  const router = dotted(net + 1)
  const inside = `${dotted(net + place)}/${prefixLength}`
  const step = 'cannot give the container an address'
  ipOf(leader, step, 'address', 'replace', inside, 'dev', containerInterface)
  ipOf(leader, step, 'link', 'set', 'dev', containerInterface, 'up')
  ipOf(leader, step, 'route', 'replace', 'default', 'via', router)
  tellNetworkd(leader, owner, containerInterface, { inside, router })
  ip('cannot bring up the cable', 'link', 'set', 'dev', hostInterface, 'up')
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  const table = MASQUERADE_PREFIX + ownOwner()
  const range = `${dotted(net)}/${prefixLength}`
  const out = `ip saddr ${range} ip daddr != ${range} masquerade`
  // Who reaches a neighbour by a forwarded port gets the answer by the way that the question took.
  const back = `ip saddr ${range} ip daddr ${range} ct status dnat masquerade`
  nft(
    'cannot masquerade',
    `table inet ${table} { chain postrouting { type nat hook postrouting priority 99; policy accept; ${out}; ${back}; }; }`,
  )
  cleanup.defer('masquerading', () => {
    quietly(() => nft('cannot remove a table', `delete table inet ${table}`))
  })
}

/** The host has the first address of its net; which one the container has is noted, so that nobody else takes it. */
function claimAddress(
  setup: NetworkSetup,
  cleanup: CleanupStack,
): { readonly net: number; readonly place: number } {
  const { hostHash, hostInterface, prefixLength } = setup
  const net = netOf(hostInterface, prefixLength) ?? freeNet(setup)
  const host = `${dotted(net + 1)}/${prefixLength}`
  ip('cannot give the host an address', 'address', 'replace', host, 'dev', hostInterface)
  const known = new Set([
    ...neighbours(hostInterface).map(dotted),
    ...notes()
      .filter(
        ({ kind, isStale, words }) => kind === 'address' && !isStale && words[0] === hostInterface,
      )
      .map(({ words }) => words[1] as string),
  ])
  const places = 2 ** (32 - prefixLength) - 3
  for (let attempt = 0; attempt < places; attempt++) {
    const place = 2 + ((hostHash + attempt) % places)
    const address = dotted(net + place)
    if (known.has(address)) continue
    note('address', [hostInterface, address], cleanup)
    return { net, place }
  }
  throw new NspawnError(`all addresses of ${hostInterface} are taken`, {
    code: 'NO_FREE_NET',
    operation: 'ip address',
    subject: dotted(net),
    hint: 'use another zone',
  })
}

/** networkd in the container would take the address for a stranger's, and ask for another one. */
function tellNetworkd(
  leader: number,
  owner: number,
  containerInterface: string,
  { inside, router }: { readonly inside: string; readonly router: string },
): void {
  const root = open(`/proc/${leader}/root`, O_PATH | O_DIRECTORY)
  try {
    const inode = { mode: 0o755, owner }
    const directory = makeDirectoryInRoot(root, '/run/systemd/network', inode)
    try {
      // Where something else is mounted there, it is somebody else's to fill.
      const own = withPathInRoot(root, '/run', (path) => statSync(path).dev)
      if (statSync(descriptorPath(directory)).dev !== own) return
      const text = [
        ...['[Match]', `Name=${containerInterface}`, 'Kind=veth', ''],
        ...['[Network]', `Address=${inside}`, `Gateway=${router}`, ''],
      ]
      const path = descriptorPath(directory, '10-tsnspawn.network')
      const file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
      try {
        fchownSync(file, owner, owner)
        writeSync(file, text.join('\n'))
      } finally {
        close(file)
      }
    } finally {
      close(directory)
    }
  } finally {
    close(root)
  }
}
