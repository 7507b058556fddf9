/** Device numbers as the C library encodes them, and as Node's `rdev` holds them. @see makedev(3) */

export function makeDevice(major: number, minor: number): bigint {
  const [x, y] = [BigInt(major), BigInt(minor)]
  return (
    (y & 0xffn) | ((x & 0xfffn) << 8n) | ((y & 0xffffff00n) << 12n) | ((x & 0xfffff000n) << 32n)
  )
}

export function splitDevice(device: number): { major: number; minor: number } {
  const both = BigInt(device)
  const major = ((both >> 8n) & 0xfffn) | ((both >> 32n) & 0xfffff000n)
  const minor = (both & 0xffn) | ((both >> 12n) & 0xffffff00n)
  return { major: Number(major), minor: Number(minor) }
}
