/** Identities of disks, partitions and file systems. @see RFC 9562 */
import { createHash, randomUUID } from 'node:crypto'

/** Lower case, with dashes. */
export type Guid = string

export const NO_GUID: Guid = '00000000-0000-0000-0000-000000000000'

/** Where the makers of partition tables put each byte: the first three groups are little-endian numbers. */
const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]

/** As it lies in a partition table. @see UEFI specification, appendix A */
export function guidBytes(guid: Guid): Buffer {
  const plain = Buffer.from(guid.replaceAll('-', ''), 'hex')
  return Buffer.from(order.map((at) => plain[at] as number))
}

/** @param bytes 16 of them, from a partition table */
export function readGuid(bytes: Uint8Array): Guid {
  return dashed(order.map((at) => (bytes[at] as number).toString(16).padStart(2, '0')).join(''))
}

/** @param hex 32 digits, in the order in which they are shown */
export function dashed(hex: string): Guid {
  return [...hex.matchAll(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/g)]
    .flatMap(([, ...five]) => five)
    .join('-')
}

/** Gives each thing on a disk its identity. */
export type GuidSource = (purpose: string) => Guid

export const randomGuids: GuidSource = () => randomUUID()

/** The same seed and purpose give the same identity: version 8, a hash. */
export function derivedGuids(seed: string): GuidSource {
  return (purpose) => {
    const hash = createHash('sha256').update(`${seed}\0${purpose}`).digest().subarray(0, 16)
    hash[6] = ((hash[6] as number) & 0x0f) | 0x80
    hash[8] = ((hash[8] as number) & 0x3f) | 0x80
    return dashed(hash.toString('hex'))
  }
}
