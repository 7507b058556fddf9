/** Random numbers for names. Read from the kernel directly: loading `node:crypto` costs milliseconds at each start. */
import { closeSync, openSync, readSync } from 'node:fs'

/** Random bytes of the kernel. */
export function randomBytes(length: number): Buffer {
  const fd = openSync('/dev/urandom', 'r')
  try {
    const bytes = Buffer.alloc(length)
    readSync(fd, bytes)
    return bytes
  } finally {
    closeSync(fd)
  }
}

/** 64 random bits as 16 lower-case hexadecimal digits, as systemd puts behind throw-away names. */
export function randomSuffix(): string {
  return randomBytes(8).toString('hex')
}

/** What stands for such a suffix where none is drawn. */
export const ZERO_SUFFIX = '0'.repeat(16)
