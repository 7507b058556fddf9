/** What the kernel knows of a block device: its size, and whether it takes writes. */
import { closeSync, constants, openSync } from 'node:fs'
import { lazyFunction } from './lazy-function.ts'
import { fail } from './libc.ts'

/* <linux/fs.h> */
const BLKROSET = 0x125dn
const BLKROGET = 0x125en
const BLKGETSIZE64 = 0x80081272n

const ioctl = lazyFunction('int ioctl(int fd, uint64_t request, void *argument)')

/** Whether the device is marked read-only, or cannot be written at all. */
export function isBlockDeviceReadOnly(path: string): boolean {
  return onDevice(path, (fd) => {
    const mark = new Int32Array(1)
    if (ioctl(fd, BLKROGET, mark) < 0) fail('ioctl(BLKROGET)', { path })
    return mark[0] !== 0
  })
}

/** Marks the device; programs that have it open for writing keep that right. */
export function setBlockDeviceReadOnly(path: string, readOnly: boolean): void {
  onDevice(path, (fd) => {
    if (ioctl(fd, BLKROSET, Int32Array.of(readOnly ? 1 : 0)) < 0) fail('ioctl(BLKROSET)', { path })
  })
}

/** The device's size in bytes. */
export function blockDeviceSize(path: string): number {
  return onDevice(path, (fd) => {
    const size = new BigUint64Array(1)
    if (ioctl(fd, BLKGETSIZE64, size) < 0) fail('ioctl(BLKGETSIZE64)', { path })
    return Number(size[0])
  })
}

function onDevice<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
