/**
 * Loading seccomp programs (seccomp(2)). Works in a forked child: foreign calls and buffers only.
 */
import { NspawnError } from '../errors.ts'
import { addressOf } from './fd.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

// linux/seccomp.h, linux/prctl.h
const PR_SET_SECCOMP = 22
const SECCOMP_MODE_FILTER = 2
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_LOG = 2
const EFAULT = 14

/** `__NR_seccomp` by `process.arch`; the C libraries have no wrapper. */
const NR_SECCOMP: Readonly<Record<string, number>> = { x64: 317, arm64: 277 }

const prctl = lazyFunction(
  'int prctl(int option, unsigned long arg2, uintptr_t arg3, unsigned long arg4, unsigned long arg5)',
)
const seccomp = lazyFunction(
  'long syscall(long number, unsigned int operation, unsigned int flags, const void *args)',
)

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
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0) < 0 && lastErrno() === EFAULT
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
  // struct sock_fprog: a 16-bit count, and a pointer at its own alignment.
  const descriptor = Buffer.alloc(16)
  descriptor.writeUInt16LE(instructions.length / 8, 0)
  descriptor.writeBigUInt64LE(addressOf(instructions), 8)
  const flags = program.log ? SECCOMP_FILTER_FLAG_LOG : 0
  const result = seccomp(number, SECCOMP_SET_MODE_FILTER, flags, descriptor)
  if (result < 0) {
    fail('seccomp', { step: 'cannot install the system call filter', path: program.purpose })
  }
}
