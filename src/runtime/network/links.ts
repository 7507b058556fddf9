/** The links of one container: made in the host's network namespace, with one end in the container's. */
import { NspawnError } from '../../errors.ts'
import type { CleanupStack } from '../../cleanup.ts'
import { ownerOf } from '../../owner.ts'
import type { PlannedLink } from '../../plan/network.ts'
import { INTERFACE_NAME_MAX } from '../../settings/values/network.ts'
import { close, open, O_RDONLY } from '../../sys/fd.ts'
import { interfaceIndex } from '../../sys/netlink.ts'
import { runHostProgram } from '../host-program.ts'
import { ip, quietly } from './tools.ts'
import { enslave, joinZone, leaveZone } from './zone.ts'

/**
 * Refuses what cannot be made, before anything is.
 *
 * @throws NspawnError `NO_INTERFACE`, `INTERFACE_EXISTS`
 */
export function checkLinks(links: readonly PlannedLink[]): void {
  for (const link of links) {
    switch (link.kind) {
      case 'interface':
        requireInterface(link.host)
        break
      case 'macvlan':
      case 'ipvlan':
        requireInterface(link.parent)
        break
      case 'veth':
        if (link.bridge?.zone === false) requireInterface(link.bridge.name)
        if (interfaceIndex(link.name) !== undefined) throw exists(link.name)
    }
  }
}

/**
 * @param leader a process in the container's network namespace
 * @param cleanup gets what undoes it
 */
export function makeLink(link: PlannedLink, leader: number, cleanup: CleanupStack): void {
  switch (link.kind) {
    case 'interface':
      return moveInterface(link, leader, cleanup)
    case 'veth':
      return makeVeth(link, leader, cleanup)
    case 'macvlan':
    case 'ipvlan': {
      const { kind, parent, name, mac } = link
      const mode = kind === 'macvlan' ? 'bridge' : 'l2'
      const address = mac === undefined ? [] : ['address', mac]
      const about = ['link', parent, 'name', name, ...address, 'netns', String(leader)]
      ip(`cannot make ${kind} ${name}`, 'link', 'add', ...about, 'type', kind, 'mode', mode)
    }
  }
}

function makeVeth(
  link: Extract<PlannedLink, { kind: 'veth' }>,
  leader: number,
  cleanup: CleanupStack,
): void {
  const { name, fullName, hostMac, container, containerMac, bridge } = link
  const inside = ['peer', 'name', container, 'address', containerMac, 'netns', String(leader)]
  const about = ['name', name, 'address', hostMac, 'type', 'veth', ...inside]
  ip(`cannot make virtual cable ${name}`, 'link', 'add', ...about)
  // The kernel takes it away with the container's namespace, which somebody else may hold.
  cleanup.defer(`interface ${name}`, () => {
    quietly(() => ip('cannot remove a virtual cable', 'link', 'delete', 'dev', name))
    if (bridge?.zone === true) leaveZone(bridge.name)
  })
  if (fullName !== undefined)
    quietly(() => ip('', 'link', 'property', 'add', 'dev', name, 'altname', fullName))
  if (bridge === undefined) return
  if (bridge.zone) joinZone(bridge.name, name)
  else enslave(bridge.name, name)
}

/** It goes in with its new name, and comes back with the old one, while the namespace is still held. */
function moveInterface(
  { host, container }: Extract<PlannedLink, { kind: 'interface' }>,
  leader: number,
  cleanup: CleanupStack,
): void {
  const step = `cannot move interface ${host}`
  const namespace = open(`/proc/${leader}/ns/net`, O_RDONLY)
  const named = properName(host)
  const words = ['link', 'set', 'dev', named, 'netns', String(leader), 'name', container]
  try {
    ip(step, ...words)
  } catch (error) {
    close(namespace)
    throw error
  }
  cleanup.defer(`interface ${named}`, () => {
    // A forked process is told its own pid here, which Node does not know.
    const own = ownerOf('self')?.pid ?? process.pid
    const home = `/proc/${own}/ns/net`
    const back = ['link', 'set', 'dev', container, 'netns', home, 'name', named]
    try {
      const into = `--net=/proc/${own}/fd/${namespace}`
      quietly(() =>
        runHostProgram(
          `cannot bring interface ${named} back`,
          ['nsenter', into, 'ip', ...back],
          30_000,
        ),
      )
    } finally {
      close(namespace)
    }
  })
}

function requireInterface(name: string): void {
  if (interfaceIndex(name) !== undefined || hasLongName(name)) return
  throw new NspawnError(`there is no interface ${name}`, {
    code: 'NO_INTERFACE',
    operation: 'find interface',
    subject: name,
    hint: '"ip link" lists those of the host',
  })
}

/** The system call takes no longer name than an interface can have. */
function hasLongName(name: string): boolean {
  if (name.length <= INTERFACE_NAME_MAX) return false
  try {
    properName(name)
    return true
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'PROGRAM_FAILED') return false
    throw error
  }
}

function exists(name: string): NspawnError {
  return new NspawnError(`there is an interface ${name} already`, {
    code: 'INTERFACE_EXISTS',
    operation: 'ip link add',
    subject: name,
    hint: 'another container may have it; give this one another name with --machine=',
  })
}

/** An interface may have been named by an alternative name. */
function properName(name: string): string {
  const told = ip(`cannot look at interface ${name}`, '-json', 'link', 'show', 'dev', name)
  const [found] = JSON.parse(told) as readonly { readonly ifname: string }[]
  return found?.ifname ?? name
}
