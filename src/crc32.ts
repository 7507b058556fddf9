/** The checksum of xz headers and of partition tables. Node has one since 22.2; this is for few bytes on all of them. */

/** CRC-32 as in IEEE 802.3. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
