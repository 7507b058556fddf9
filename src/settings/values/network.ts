/** What links a container gets, as words. @see systemd-nspawn(1), "Networking Options" */
import { usageError } from '../../errors.ts'

/** An interface outside, and what it is called inside; undefined leaves that to the kind of link. */
export interface LinkNames {
  readonly host: string
  readonly container: string | undefined
}

export interface ForwardedPort {
  readonly protocol: 'tcp' | 'udp'
  readonly hostPort: number
  readonly containerPort: number
}

/** Longest name of an interface: IFNAMSIZ without the NUL. */
export const INTERFACE_NAME_MAX = 15
const ALTERNATIVE_NAME_MAX = 127

/**
 * Whether an interface can have the name.
 *
 * @param longest alternative names may have more characters
 */
export function isInterfaceName(name: string, longest: number = INTERFACE_NAME_MAX): boolean {
  return (
    name.length <= longest &&
    /^[!-~]+$/.test(name) &&
    !/[/:%]/.test(name) &&
    !/^\d+$/.test(name) &&
    !['.', '..', 'all', 'default'].includes(name)
  )
}

/** @throws NspawnError `USAGE` */
export function parseInterfaceName(text: string, longest?: number): string {
  if (isInterfaceName(text, longest)) return text
  throw usageError(
    `"${text}" is no name of an interface`,
    `it has ${INTERFACE_NAME_MAX} characters at most, no blanks, slashes or colons, and is no number`,
  )
}

/** `HOST[:CONTAINER]`, several of them with blanks between. @throws NspawnError `USAGE` */
export function parseLinks(text: string): readonly LinkNames[] {
  const words = text.split(/\s+/).filter((word) => word !== '')
  if (words.length === 0) throw usageError('there is no interface in it')
  return words.map((word) => {
    const [host = '', container, ...more] = word.split(':')
    if (more.length > 0) throw usageError(`"${word}" has more than two parts`)
    return {
      host: parseInterfaceName(host, ALTERNATIVE_NAME_MAX),
      container: container === undefined ? undefined : parseInterfaceName(container),
    }
  })
}

/** `HOST[:CONTAINER]`; a name inside that cannot be one is passed over, as systemd-nspawn does. */
export function parseExtraVeth(text: string): LinkNames {
  const [host = '', container = '', ...more] = text.split(':')
  if (more.length > 0) throw usageError(`"${text}" has more than two parts`)
  return {
    host: parseInterfaceName(host),
    container: isInterfaceName(container) ? container : host,
  }
}

/** The bridge of a zone has this before its name. */
export const ZONE_PREFIX = 'vz-'

/** @returns the name of the bridge */
export function parseZone(text: string): string {
  const bridge = `${ZONE_PREFIX}${text}`
  if (text !== '' && isInterfaceName(bridge)) return bridge
  throw usageError(
    `"${text}" is no name of a zone`,
    `it has ${INTERFACE_NAME_MAX - ZONE_PREFIX.length} characters at most, no blanks, slashes or colons`,
  )
}

/** `[tcp:|udp:]HOST[:CONTAINER]` @throws NspawnError `USAGE` */
export function parsePort(text: string): ForwardedPort {
  const [, protocol = 'tcp', host = '', container = host] =
    /^(?:(tcp|udp):)?([^:]+)(?::([^:]+))?$/.exec(text) ?? []
  return {
    protocol: protocol as ForwardedPort['protocol'],
    hostPort: portNumber(host, text),
    containerPort: portNumber(container, text),
  }
}

function portNumber(word: string, text: string): number {
  const number = /^\d{1,5}$/.test(word) ? Number(word) : 0
  if (number > 0 && number < 65536) return number
  throw usageError(
    `"${text}" is no port`,
    'write [tcp:|udp:]HOST[:CONTAINER] with numbers from 1 to 65535',
  )
}

/** @throws NspawnError `USAGE` when the port of the host is forwarded already */
export function addPort(
  ports: readonly ForwardedPort[],
  added: ForwardedPort,
): readonly ForwardedPort[] {
  const twin = ports.some(
    ({ protocol, hostPort }) => protocol === added.protocol && hostPort === added.hostPort,
  )
  if (twin) throw usageError(`${added.protocol} port ${added.hostPort} is forwarded twice`)
  return [...ports, added]
}
