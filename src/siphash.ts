/**
 * SipHash-2-4: the keyed hash that container id ranges, interface names and MAC addresses are derived
 * with, so that they stay the same from run to run and equal to systemd-nspawn's.
 */

const mask = 0xffffffffffffffffn

const rotate = (x: bigint, bits: bigint): bigint => ((x << bits) & mask) | (x >> (64n - bits))

function littleEndian(bytes: Uint8Array, from: number, length: number): bigint {
  let word = 0n
  for (let i = length - 1; i >= 0; i--) word = (word << 8n) | BigInt(bytes[from + i] ?? 0)
  return word
}

/**
 * The 64-bit hash of `data`.
 *
 * @param data a string counts as its UTF-8 bytes, without a NUL
 * @param key 16 bytes
 * @see Aumasson and Bernstein, "SipHash: a fast short-input PRF"
 */
export function sipHash24(data: Uint8Array | string, key: Uint8Array): bigint {
  if (key.length !== 16) throw new RangeError('a SipHash key has 16 bytes')
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  const k0 = littleEndian(key, 0, 8)
  const k1 = littleEndian(key, 8, 8)
  let v0 = k0 ^ 0x736f6d6570736575n
  let v1 = k1 ^ 0x646f72616e646f6dn
  let v2 = k0 ^ 0x6c7967656e657261n
  let v3 = k1 ^ 0x7465646279746573n

  const rounds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) & mask
      v1 = rotate(v1, 13n) ^ v0
      v0 = rotate(v0, 32n)
      v2 = (v2 + v3) & mask
      v3 = rotate(v3, 16n) ^ v2
      v0 = (v0 + v3) & mask
      v3 = rotate(v3, 21n) ^ v0
      v2 = (v2 + v1) & mask
      v1 = rotate(v1, 17n) ^ v2
      v2 = rotate(v2, 32n)
    }
  }

  const whole = bytes.length - (bytes.length % 8)
  const last =
    (BigInt(bytes.length & 0xff) << 56n) | littleEndian(bytes, whole, bytes.length - whole)
  for (let at = 0; at <= whole; at += 8) {
    const word = at < whole ? littleEndian(bytes, at, 8) : last
    v3 ^= word
    rounds(2)
    v0 ^= word
  }
  v2 ^= 0xffn
  rounds(4)
  return v0 ^ v1 ^ v2 ^ v3
}
