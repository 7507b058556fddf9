/**
 * Bridges of zones: made with the first member, and gone with the last. systemd-nspawn's lock and names are used, so that
 * its containers and ours can be in one zone. A note says which bridges are ours to take away after a kill -9.
 */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { runtimeDirectory } from '../../paths.ts'
import { interfaceIndex } from '../../sys/netlink.ts'
import { tryLockFile } from '../../sys/lock.ts'
import { poll } from '../../sys/fd.ts'
import { ip, quietly } from './tools.ts'

const LOCK = '/run/systemd/nspawn-network-zone'
const PATIENCE_MS = 30_000
const PAUSE_MS = 20

/** Puts an interface of the host into the bridge, which is made where it is missing. */
export function joinZone(bridge: string, member: string): void {
  locked(() => {
    if (interfaceIndex(bridge) === undefined) {
      ip(
        `cannot make the bridge of zone ${bridge}`,
        'link',
        'add',
        'name',
        bridge,
        'type',
        'bridge',
      )
      mkdirSync(notes(), { recursive: true, mode: 0o755 })
      writeFileSync(join(notes(), bridge), '')
    }
    enslave(bridge, member)
  })
}

/** Takes the bridge away if nobody is left in it. */
export function leaveZone(bridge: string): void {
  locked(() => removeIfEmpty(bridge))
}

/** Bridges that killed containers have left. */
export function removeStaleZones(): void {
  const left = notedBridges()
  if (left.length === 0) return
  locked(() => {
    for (const bridge of left) removeIfEmpty(bridge)
  })
}

export function enslave(bridge: string, member: string): void {
  ip(`cannot connect ${member} to ${bridge}`, 'link', 'set', 'dev', member, 'master', bridge, 'up')
}

function removeIfEmpty(bridge: string): void {
  if (interfaceIndex(bridge) === undefined) return forget(bridge)
  const members = ip('cannot look at a bridge', '-json', 'link', 'show', 'master', bridge)
  if ((JSON.parse(members === '' ? '[]' : members) as unknown[]).length > 0) return
  quietly(() => ip('cannot remove a bridge', 'link', 'delete', 'dev', bridge))
  forget(bridge)
}

function forget(bridge: string): void {
  rmSync(join(notes(), bridge), { force: true })
}

function notes(): string {
  return join(runtimeDirectory(), 'zones')
}

function notedBridges(): readonly string[] {
  try {
    return readdirSync(notes())
  } catch {
    return []
  }
}

function locked(work: () => void): void {
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
    work()
  } finally {
    closeSync(fd)
  }
}
