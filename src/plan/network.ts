/**
 * The links of a network of the container's own, with names and hardware addresses that stay the same from start to
 * start, and are those that systemd-nspawn gives. Pure.
 *
 * @see systemd-nspawn(1), "Networking Options"; systemd.net-naming-scheme(7)
 */
import type { NetworkSettings } from '../settings/settings.ts'
import { INTERFACE_NAME_MAX, type ForwardedPort } from '../settings/values/network.ts'
import { sipHash24 } from '../siphash.ts'

/** Name of an interface that did not fit, and had to be changed. */
interface Named {
  readonly name: string
  /** What it was to be called; it becomes an alternative name. */
  readonly fullName: string | undefined
}

export type PlannedLink =
  /** An interface of the host that is moved in, and back at the end. */
  | {
      readonly kind: 'interface'
      readonly host: string
      /** Undefined: as outside. */
      readonly container: string | undefined
    }
  | ({
      readonly kind: 'macvlan' | 'ipvlan'
      /** Of the host. */
      readonly parent: string
      /** An ipvlan has that of its parent. */
      readonly mac: string | undefined
    } & Named)
  /** A virtual cable; `name` is its end on the host. */
  | ({
      readonly kind: 'veth'
      readonly hostMac: string
      readonly container: string
      readonly containerMac: string
      readonly bridge: { readonly name: string; readonly zone: boolean } | undefined
    } & Named)

export interface NetworkPlan {
  /** In the order in which they are made. */
  readonly links: readonly PlannedLink[]
  readonly ports: readonly ForwardedPort[]
  /** Undefined: whoever configures networks on the host, or in the container, takes care. */
  readonly setup: NetworkSetup | undefined
}

/** Addresses for a cable where nobody else gives any. */
export interface NetworkSetup {
  /** The interface that the host has its address on: the cable's end, or the bridge of a zone. */
  readonly hostInterface: string
  readonly containerInterface: string
  /** Where a free net is looked for first, and the container's place in it; both by hash, so mostly the same. */
  readonly netHash: number
  readonly hostHash: number
  /** 28 for a cable, 24 for a zone. */
  readonly prefixLength: number
}

export interface NetworkFacts {
  readonly machine: string
  /** 32 hexadecimal digits; hosts without one have the same addresses. */
  readonly machineId: string | undefined
  /** `SYSTEMD_NSPAWN_NETWORK_MAC` */
  readonly mac: string | undefined
}

/** @returns undefined where there is nothing but a loopback interface */
export function planNetwork(
  settings: NetworkSettings,
  facts: NetworkFacts,
): NetworkPlan | undefined {
  const links = plannedLinks(settings, facts)
  if (links.length === 0 && settings.ports.length === 0) return undefined
  return { links, ports: settings.ports, setup: plannedSetup(settings, links, facts) }
}

function plannedLinks(settings: NetworkSettings, facts: NetworkFacts): readonly PlannedLink[] {
  const { interfaces, macvlans, ipvlans, extraVeths, veth, bridge, zone } = settings
  const mac = (use: keyof typeof keys, index = 0) => hardwareAddress(use, facts, index)
  const links: PlannedLink[] = interfaces.map((names) => ({ kind: 'interface', ...names }))
  const joined = zone ?? bridge
  if (veth || joined !== undefined) {
    const prefix = joined === undefined ? 've-' : 'vb-'
    links.push({
      kind: 'veth',
      ...shortened(`${prefix}${facts.machine}`),
      hostMac: mac('veth-host'),
      container: 'host0',
      containerMac: facts.mac ?? mac('veth-container'),
      bridge: joined === undefined ? undefined : { name: joined, zone: zone !== undefined },
    })
  }
  for (const [i, { host, container = host }] of extraVeths.entries()) {
    links.push({
      kind: 'veth',
      ...{ name: host, fullName: undefined, container, bridge: undefined },
      hostMac: mac('extra-host', i),
      containerMac: mac('extra-container', i),
    })
  }
  for (const [i, { host, container }] of macvlans.entries())
    links.push({
      kind: 'macvlan',
      parent: host,
      ...child('mv-', host, container),
      mac: mac('macvlan', i),
    })
  for (const { host, container } of ipvlans)
    links.push({ kind: 'ipvlan', parent: host, ...child('iv-', host, container), mac: undefined })
  return links
}

function child(prefix: string, parent: string, wanted: string | undefined): Named {
  return wanted === undefined ? shortened(prefix + parent) : { name: wanted, fullName: undefined }
}

const nameKey = Buffer.from('e190a404a8ef4b518cccc33a9f11fca2', 'hex')
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const KEPT = INTERFACE_NAME_MAX - 4

/** A name that is too long keeps its beginning, and gets a hash of the whole. */
export function shortened(wanted: string): Named {
  if (wanted.length <= INTERFACE_NAME_MAX) return { name: wanted, fullName: undefined }
  const hash = Number(sipHash24(wanted, nameKey) & 0xffffffn)
  const letters = [18, 12, 6, 0].map((shift) => alphabet[(hash >> shift) & 63])
  return { name: wanted.slice(0, KEPT) + letters.join(''), fullName: wanted }
}

const keys = {
  'veth-host': '1a376fc746ec450bada3d53106605db1',
  'veth-container': 'c3c4f919b557b21ce6cf1427039ceea2',
  'extra-host': '48c7f6b7ea9d4c9eb728d4de91d5bf66',
  'extra-container': 'af501761cef94d35840d2b2054bece59',
  macvlan: '00136dbc66834481bb0cf9511f24a66f',
} as const

/** Of the machine, by what it is for; local, and for one interface alone. */
export function hardwareAddress(
  use: keyof typeof keys,
  { machine, machineId = '0'.repeat(32) }: Pick<NetworkFacts, 'machine' | 'machineId'>,
  index: number,
): string {
  const position = Buffer.alloc(index === 0 ? 0 : 8)
  if (index > 0) position.writeBigUInt64LE(BigInt(index))
  const seed = Buffer.concat([Buffer.from(machineId, 'hex'), Buffer.from(machine), position])
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(sipHash24(seed, Buffer.from(keys[use], 'hex')))
  bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02
  return [...bytes.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

const setupKey = Buffer.from('6c1fe9b0a47d4a0d9d53b4b1f2c7a8e3', 'hex')

function plannedSetup(
  { setup, zone }: NetworkSettings,
  links: readonly PlannedLink[],
  { machine }: NetworkFacts,
): NetworkSetup | undefined {
  const cable = links.find((link) => link.kind === 'veth')
  if (setup === 'no' || cable?.kind !== 'veth') return undefined
  const hash = (text: string) => Number(sipHash24(text, setupKey) & 0xffffffn)
  return {
    hostInterface: zone ?? cable.name,
    containerInterface: cable.container,
    netHash: hash(zone ?? machine),
    hostHash: hash(machine),
    prefixLength: zone === undefined ? 28 : 24,
  }
}
