/**
 * Loading seccomp programs (seccomp(2)). Works in a forked child: foreign calls and buffers only.
 */
import { NspawnError } from '../errors.ts'
import { fail, koffi, libc } from './libc.ts'

// linux/seccomp.h, linux/prctl.h
const PR_SET_SECCOMP = 22
const SECCOMP_MODE_FILTER = 2
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_LOG = 2
const EFAULT = 14

/** `__NR_seccomp` by `process.arch`; the C libraries have no wrapper. */
const NR_SECCOMP: Readonly<Record<string, number>> = { x64: 317, ia32: 354, arm64: 277, arm: 383 }

const prctl = libc.func(
  'int prctl(int option, unsigned long arg2, uintptr_t arg3, unsigned long arg4, unsigned long arg5)',
)
const seccomp = libc.func(
  'long syscall(long number, unsigned int operation, unsigned int flags, const void *args)',
)
const malloc = libc.func('uintptr_t malloc(size_t size)')
const free = libc.func('void free(uintptr_t pointer)')
const memcpy = libc.func('uintptr_t memcpy(uintptr_t to, const void *from, size_t size)')

/** A program as `plan/seccomp` makes it. */
export interface LoadableSeccompProgram {
  readonly purpose: string
  /** Log every action but "allow", as kernel.seccomp.actions_logged permits. */
  readonly log: boolean
  /** An array of `struct sock_filter`, in base64. */
  readonly instructions: string
}

/**
 * Whether the kernel has seccomp filters (`CONFIG_SECCOMP_FILTER`): given no program, one that has them
 * complains about the address, not about the request.
 */
export function seccompAvailable(): boolean {
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0) < 0 && koffi.errno() === EFAULT
}

/**
 * Puts the calling thread and all it will start under a program, for good. Programs add up; the
 * strictest answer counts.
 *
 * The caller needs CAP_SYS_ADMIN in its user namespace or must have set no_new_privs.
 *
 * @throws NspawnError, `operation: 'seccomp'`, `subject` = the program's purpose: EACCES without the
 *   privilege, EINVAL when the kernel rejects the program, ENOMEM when programs add up to too much
 * @see seccomp(2), SECCOMP_SET_MODE_FILTER
 */
export function loadSeccompProgram(program: LoadableSeccompProgram): void {
  const number = NR_SECCOMP[process.arch]
  if (number === undefined) {
    throw new NspawnError('cannot install the system call filter', {
      code: 'ENOSYS',
      operation: 'seccomp',
      subject: `on ${process.arch}`,
    })
  }
  const instructions = Buffer.from(program.instructions, 'base64')
  const copy = malloc(instructions.length) as number | bigint
  memcpy(copy, instructions, instructions.length)
  const result = seccomp(
    number,
    SECCOMP_SET_MODE_FILTER,
    program.log ? SECCOMP_FILTER_FLAG_LOG : 0,
    socketFilterProgram(instructions.length / 8, copy),
  )
  if (result < 0) {
    fail('seccomp', { step: 'cannot install the system call filter', path: program.purpose })
  }
  free(copy)
}

/** `struct sock_fprog` (linux/filter.h): a 16-bit count, then a pointer at its own alignment. */
function socketFilterProgram(count: number, instructions: number | bigint): Buffer {
  const wide = process.arch === 'x64' || process.arch === 'arm64'
  const struct = Buffer.alloc(wide ? 16 : 8)
  struct.writeUInt16LE(count, 0)
  if (wide) struct.writeBigUInt64LE(BigInt(instructions), 8)
  else struct.writeUInt32LE(Number(instructions), 4)
  return struct
}
