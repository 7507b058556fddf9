/**
 * Bridges of zones: made with the first member, and gone with the last. systemd-nspawn's lock and names are used, so that
 * its containers and ours can be in one zone; notes say which bridges are ours to take away.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import type { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { poll } from '../../sys/fd.ts'
import { tryLockFile } from '../../sys/lock.ts'
import { interfaceIndex } from '../../sys/netlink.ts'
import { note } from './notes.ts'
import { ip, quietly, told } from './tools.ts'

const LOCK = '/run/systemd/nspawn-network-zone'
const PATIENCE_MS = 30_000
const PAUSE_MS = 20

/** Has the bridge go with its last member; to be called before there is one, so that it is done after that has gone. */
export function holdZone(bridge: string, cleanup: CleanupStack): void {
  note('bridge', [bridge], cleanup)
  cleanup.defer(`bridge ${bridge}`, () => withZones(() => removeIfEmpty(bridge)))
}

/** Puts an interface of the host into the bridge, which is made where it is missing. */
export function joinZone(bridge: string, member: string): void {
  withZones(() => {
    if (interfaceIndex(bridge) === undefined)
      ip(
        `cannot make the bridge of zone ${bridge}`,
        'link',
        'add',
        'name',
        bridge,
        'type',
        'bridge',
      )
    enslave(bridge, member)
  })
}

export function enslave(bridge: string, member: string): void {
  ip(`cannot connect ${member} to ${bridge}`, 'link', 'set', 'dev', member, 'master', bridge, 'up')
}

/** Takes the bridge away if nobody is left in it. */
export function removeIfEmpty(bridge: string): void {
  if (interfaceIndex(bridge) === undefined) return
  const members = told(ip('cannot look at a bridge', '-json', 'link', 'show', 'master', bridge))
  if (members.length > 0) return
  quietly(() => ip('cannot remove a bridge', 'link', 'delete', 'dev', bridge))
}

/** Does it while nobody else changes zones or chooses addresses. */
export function withZones<T>(work: () => T): T {
  mkdirSync('/run/systemd', { recursive: true, mode: 0o755 })
  const fd = openSync(LOCK, 'a+', 0o600)
  try {
    for (let waitedMs = 0; !tryLockFile(fd, 'exclusive'); waitedMs += PAUSE_MS) {
      if (waitedMs >= PATIENCE_MS) {
        throw new NspawnError('somebody has held the lock of network zones for too long', {
          code: 'EBUSY',
          operation: 'lock',
          subject: LOCK,
        })
      }
      poll([], PAUSE_MS)
    }
    return work()
  } finally {
    closeSync(fd)
  }
}
