/** Reads the seccomp programs of a running process out of the kernel (ptrace(2), CONFIG_CHECKPOINT_RESTORE). */
import { libc } from '../../src/sys/libc.ts'

const PTRACE_ATTACH = 16
const PTRACE_DETACH = 17
const PTRACE_SECCOMP_GET_FILTER = 0x420c
const WALL = 0x40000000

const ptrace = libc.func('long ptrace(long request, int pid, uintptr_t address, void *data)')
const waitpid = libc.func('int waitpid(int pid, void *status, int options)')

/** The programs in base64, the one loaded first coming first. */
export function dumpPrograms(pid: number): readonly string[] {
  if (ptrace(PTRACE_ATTACH, pid, 0, null) < 0) throw new Error(`cannot attach to ${pid}`)
  try {
    waitpid(pid, Buffer.alloc(4), WALL)
    const programs: string[] = []
    for (;;) {
      const count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, programs.length, null)
      if (count < 0) return programs
      const program = Buffer.alloc(Number(count) * 8)
      ptrace(PTRACE_SECCOMP_GET_FILTER, pid, programs.length, program)
      programs.push(program.toString('base64'))
    }
  } finally {
    ptrace(PTRACE_DETACH, pid, 0, null)
  }
}
