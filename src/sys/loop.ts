/** Files as block devices. loop(4), <linux/loop.h> */
import { closeSync, constants, openSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { lazyFunction } from './lazy-function.ts'
import { errnoName } from './errno.ts'
import { fail, lastErrno } from './libc.ts'

const LOOP_CTL_GET_FREE = 0x4c82n
const LOOP_CONFIGURE = 0x4c0an

const LO_FLAGS_READ_ONLY = 1
const LO_FLAGS_AUTOCLEAR = 4

/** struct loop_config: descriptor, block size, struct loop_info64, reserved. */
const CONFIG_BYTES = 304
const INFO = 8

const ioctl = lazyFunction('int ioctl(int fd, uint64_t request, void *argument)')
const ioctlNumber = lazyFunction('int ioctl(int fd, uint64_t request, long argument)')

export interface LoopRequest {
  /** Of the file or device, open for what `readOnly` says. */
  readonly fd: number
  /** In bytes, multiples of 512. */
  readonly offset: number
  readonly sizeBytes: number
  readonly readOnly: boolean
  /** For errors. */
  readonly path: string
}

/** A part of a file as a device; it is gone when nobody has it open or mounted any more. */
export interface LoopDevice extends Disposable {
  /** `/dev/loopN` */
  readonly path: string
}

/** Others may take the free device that the kernel named. */
const ATTEMPTS = 64

/** @throws NspawnError */
export function attachLoop(request: LoopRequest): LoopDevice {
  const { offset, sizeBytes, readOnly, path: file } = request
  const control = openDevice('/dev/loop-control', constants.O_RDWR)
  try {
    const config = Buffer.alloc(CONFIG_BYTES)
    config.writeUInt32LE(request.fd, 0)
    config.writeBigUInt64LE(BigInt(offset), INFO + 24)
    config.writeBigUInt64LE(BigInt(sizeBytes), INFO + 32)
    config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0), INFO + 52)
    // For people who look at losetup(8); one byte stays zero.
    config.write(file.slice(0, 63), INFO + 56, 'latin1')
    for (let attempt = 1; ; attempt++) {
      const number = ioctlNumber(control, LOOP_CTL_GET_FREE, 0) as number
      if (number < 0)
        fail('ioctl(LOOP_CTL_GET_FREE)', { step: 'cannot get a loop device', path: file })
      const path = `/dev/loop${number}`
      const fd = openDevice(path, readOnly ? constants.O_RDONLY : constants.O_RDWR)
      if (ioctl(fd, LOOP_CONFIGURE, config) >= 0)
        return { path, [Symbol.dispose]: () => closeSync(fd) }
      const code = errnoName(lastErrno())
      closeSync(fd)
      if (code !== 'EBUSY' || attempt === ATTEMPTS) {
        throw new NspawnError('cannot attach a loop device', {
          code,
          operation: 'ioctl(LOOP_CONFIGURE)',
          subject: file,
        })
      }
    }
  } finally {
    closeSync(control)
  }
}

function openDevice(path: string, flags: number): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException
    throw new NspawnError('cannot open a loop device', {
      code,
      operation: 'open',
      subject: path,
      hint:
        code === 'ENOENT' ? 'load the kernel module "loop", and mount devtmpfs on /dev' : undefined,
      cause: error,
    })
  }
}
