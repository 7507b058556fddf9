/** The links of one container: made in the host's network namespace, with one end in the container's. */
import { NspawnError } from '../../errors.ts'
import type { CleanupStack } from '../../cleanup.ts'
import type { LogSink } from '../../log.ts'
import { ownerOf } from '../../owner.ts'
import type { PlannedLink } from '../../plan/network.ts'
import { INTERFACE_NAME_MAX } from '../../settings/values/network.ts'
import { close, open, O_RDONLY } from '../../sys/fd.ts'
import { interfaceIndex } from '../../sys/netlink.ts'
import { runHostProgram } from '../host-program.ts'
import { ip, ipOf, quietly, told } from './tools.ts'
import { enslave, holdZone, joinZone } from './zone.ts'

/**
 * Refuses what cannot be made, before anything is.
 *
 * @param names `short`: without starting a program, which alone knows of longer names than interfaces have
 * @throws NspawnError `NO_INTERFACE`, `INTERFACE_EXISTS`
 */
export function checkLinks(links: readonly PlannedLink[], names: 'all' | 'short'): void {
  const requireInterface = (name: string) => {
    if (names === 'all' || name.length <= INTERFACE_NAME_MAX) requireThere(name)
  }
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

export interface LinkContext {
  /** Gets what undoes it. */
  readonly cleanup: CleanupStack
  readonly log: LogSink
}

/**
 * @param leader a process in the container's network namespace
 */
export function makeLink(link: PlannedLink, leader: number, context: LinkContext): void {
  switch (link.kind) {
    case 'interface':
      return moveInterface(link, leader, context)
    case 'veth':
      return makeVeth(link, leader, context.cleanup)
    case 'macvlan':
    case 'ipvlan': {
      const { kind, parent, name, mac } = link
      const mode = kind === 'macvlan' ? 'bridge' : 'l2'
      const address = mac === undefined ? [] : ['address', mac]
      const about = ['link', parent, 'name', name, ...address, 'netns', String(leader)]
      ip(`cannot make ${kind} ${name}`, 'link', 'add', ...about, 'type', kind, 'mode', mode)
      const { fullName } = link
      if (fullName !== undefined) nameFully(leader, name, fullName)
    }
  }
}

/** Some kernels have no alternative names. */
function nameFully(leader: number, name: string, fullName: string): void {
  quietly(() => ipOf(leader, '', 'link', 'property', 'add', 'dev', name, 'altname', fullName))
}

function makeVeth(
  link: Extract<PlannedLink, { kind: 'veth' }>,
  leader: number,
  cleanup: CleanupStack,
): void {
  const { name, fullName, hostMac, container, containerMac, bridge } = link
  const inside = ['peer', 'name', container, 'address', containerMac, 'netns', String(leader)]
  const about = ['name', name, 'address', hostMac, 'type', 'veth', ...inside]
  if (bridge?.zone === true) holdZone(bridge.name, cleanup)
  ip(`cannot make virtual cable ${name}`, 'link', 'add', ...about)
  // The kernel takes it away with the container's namespace, which somebody else may hold.
  cleanup.defer(`interface ${name}`, () => {
    quietly(() => ip('cannot remove a virtual cable', 'link', 'delete', 'dev', name))
  })
  if (fullName !== undefined)
    quietly(() => ip('', 'link', 'property', 'add', 'dev', name, 'altname', fullName))
  if (bridge === undefined) return
  if (bridge.zone) joinZone(bridge.name, name)
  else enslave(bridge.name, name)
}

/**
 * It goes in with its new name, and comes back with the old one, while the namespace is still held. Whatever it is called
 * inside by then, its number is the same.
 */
function moveInterface(
  { host, container }: Extract<PlannedLink, { kind: 'interface' }>,
  leader: number,
  { cleanup, log }: LinkContext,
): void {
  const namespace = open(`/proc/${leader}/ns/net`, O_RDONLY)
  const home = properName(host)
  const inner = container ?? home
  try {
    const words = ['link', 'set', 'dev', home, 'netns', String(leader), 'name', inner]
    ip(`cannot move interface ${home}`, ...words)
  } catch (error) {
    close(namespace)
    throw error
  }
  const [moved] = toldLinks(ipOf(leader, '', '-json', 'link', 'show', 'dev', inner))
  cleanup.defer(`interface ${home}`, () => {
    try {
      bringBack({ namespace, home, inner, index: moved?.ifindex })
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      log({ kind: 'warning', text: `interface ${home} has not come back: ${error.message}` })
    } finally {
      close(namespace)
    }
  })
}

interface MovedInterface {
  /** Descriptor of the network namespace that it is in. */
  readonly namespace: number
  readonly home: string
  readonly inner: string
  readonly index: number | undefined
}

function bringBack({ namespace, home, inner, index }: MovedInterface): void {
  // A forked process is told its own pid here, which Node does not know.
  const own = ownerOf('self')?.pid ?? process.pid
  const step = `cannot bring interface ${home} back`
  const inside = (...words: readonly string[]) =>
    runHostProgram(step, ['nsenter', `--net=/proc/${own}/fd/${namespace}`, 'ip', ...words], 30_000)
  const now = toldLinks(inside('-json', 'link', 'show')).find(({ ifindex }) => ifindex === index)
  const name = now?.ifname ?? inner
  const back = (wanted: string) =>
    inside('link', 'set', 'dev', name, 'netns', `/proc/${own}/ns/net`, 'name', wanted)
  if (interfaceIndex(home) === undefined) return void back(home)
  const spare = spareName(home)
  back(spare)
  throw new NspawnError(`another one has its name, so it is called ${spare}`, {
    code: 'INTERFACE_EXISTS',
  })
}

function spareName(name: string): string {
  for (let number = 1; ; number++) {
    const ending = `-${number}`
    const spare = name.slice(0, INTERFACE_NAME_MAX - ending.length) + ending
    if (interfaceIndex(spare) === undefined) return spare
  }
}

interface ToldLink {
  readonly ifname: string
  readonly ifindex: number
}

const toldLinks = (text: string): readonly ToldLink[] => told<ToldLink>(text)

function requireThere(name: string): void {
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
  const [found] = toldLinks(ip(`cannot find ${name}`, '-json', 'link', 'show', 'dev', name))
  return found?.ifname ?? name
}
