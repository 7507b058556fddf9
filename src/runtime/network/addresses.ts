/** Nets and addresses of IPv4, as numbers, and which of them are free. */
import { NspawnError } from '../../errors.ts'
import type { NetworkSetup } from '../../plan/network.ts'
import { ip, told } from './tools.ts'

/** Where nets are looked for, one after the other: large, and seldom used at this place. */
const spaces = [
  { base: parts(10, 64), bits: 10 },
  { base: parts(172, 16), bits: 12 },
  { base: parts(192, 168), bits: 16 },
]
const ATTEMPTS = 64

interface Net {
  readonly base: number
  readonly length: number
}

/** @throws NspawnError `NO_FREE_NET` when routes of the host lead to all of them */
export function freeNet({ netHash, prefixLength }: NetworkSetup): number {
  const routes = ip('cannot look at routes', '-4', '-json', 'route', 'show', 'table', 'all')
  const taken = told<{ dst: string }>(routes)
    .filter(({ dst }) => dst !== 'default')
    .map(({ dst }): Net => {
      const [address = '', length = '32'] = dst.split('/')
      return { base: numberOf(address), length: Number(length) }
    })
  for (const { base, bits } of spaces) {
    const nets = 2 ** (prefixLength - bits)
    for (let attempt = 0; attempt < Math.min(ATTEMPTS, nets); attempt++) {
      const net = base + ((netHash + attempt * 7919) % nets) * 2 ** (32 - prefixLength)
      if (!taken.some((one) => overlap(one, { base: net, length: prefixLength }))) return net
    }
  }
  throw new NspawnError('there is no free net for the container', {
    code: 'NO_FREE_NET',
    operation: 'ip route',
    hint: 'routes of the host cover the private nets; give addresses yourself, without --network-setup=auto',
  })
}

interface ToldAddress {
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[]
}

/** The net that an interface has an address in; the bridge of a zone has one when it is not the first that comes. */
export function netOf(hostInterface: string, prefixLength: number): number | undefined {
  const words = ['-4', '-json', 'address', 'show', 'dev', hostInterface]
  const [found] = told<ToldAddress>(ip('cannot look at addresses', ...words)).flatMap(
    ({ addr_info: addresses = [] }) => addresses.filter((one) => one.prefixlen === prefixLength),
  )
  return found === undefined ? undefined : (numberOf(found.local) & maskOf(prefixLength)) >>> 0
}

/** What has been heard of in a net, whoever gave it out. */
export function neighbours(hostInterface: string): readonly number[] {
  const words = ['-4', '-json', 'neighbour', 'show', 'dev', hostInterface]
  const found = told<{ dst: string }>(ip('cannot look at neighbours', ...words))
  return found.map(({ dst }) => numberOf(dst))
}

export function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}

function overlap(one: Net, other: Net): boolean {
  const common = maskOf(Math.min(one.length, other.length))
  return (one.base & common) === (other.base & common)
}

function maskOf(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => ((sum << 8) | Number(part)) >>> 0, 0)
}

function parts(first: number, second: number): number {
  return ((first << 24) | (second << 16)) >>> 0
}
