/**
 * What a container may call: the allow list of systemd-nspawn, a default-deny design. What only makes
 * sense with a capability is allowed when the container keeps that capability.
 */
import type { SystemCallFilter } from '../../settings/settings.ts'
import { groupMembers, words } from './groups.ts'
import type { Abi } from './abi.ts'
import { systemCalls } from './abi.ts'

const ALLOWED = `
  @aio @basic-io @chown @default @file-system @io-event @ipc @mount @network-io @process @resources
  @setuid @signal @sync @timer
  arm_fadvise64_64 brk capget capset copy_file_range fadvise64 fadvise64_64 flock get_mempolicy getcpu
  getpriority getrandom ioctl ioprio_get kcmp madvise mincore mprotect mremap name_to_handle_at
  oldolduname olduname personality readahead readdir remap_file_pages sched_get_priority_max
  sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
  sched_rr_get_interval sched_rr_get_interval_time64 sched_yield seccomp sendfile sendfile64
  setdomainname setfsgid setfsgid32 setfsuid setfsuid32 sethostname setpgid setsid splice sysinfo tee
  umask uname userfaultfd vmsplice`

const ALLOWED_WITH: Readonly<Record<string, string>> = {
  CAP_SYS_TIME: '@clock',
  CAP_SYS_MODULE: '@module',
  CAP_SYS_RAWIO: '@raw-io',
  CAP_IPC_LOCK: '@memlock',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'process_vm_readv process_vm_writev ptrace',
  CAP_SYS_BOOT: 'reboot',
  CAP_SYSLOG: 'syslog',
  CAP_SYS_TTY_CONFIG: 'vhangup',
}

/**
 * Refused calls that are answered as if the kernel did not have them, though we know them: their callers
 * are prepared for an older kernel and go another way then, while EPERM would stop them.
 */
const AS_IF_MISSING: ReadonlySet<string> = new Set(words('listns lsm_set_self_attr nfsservctl'))

/** Whether a call that is not allowed fails with ENOSYS rather than EPERM. */
export function seemsMissing(name: string): boolean {
  return AS_IF_MISSING.has(name)
}

/** The capabilities that make a difference here. */
export const decisiveCapabilities: readonly string[] = Object.keys(ALLOWED_WITH)

/** Names that the runtime allows or the user adds, groups not yet opened, in order. */
function listedItems(
  hasCapability: (name: string) => boolean,
  filter: SystemCallFilter,
): readonly string[] {
  const items = words(ALLOWED)
  for (const [capability, list] of Object.entries(ALLOWED_WITH)) {
    if (hasCapability(capability)) items.push(...words(list))
  }
  return [...items, ...filter.allow]
}

/**
 * The calls that pass, by name.
 *
 * A denied item is left out wherever it stands under exactly that name: as an entry of the list and as
 * a member of a group that is being opened. So `@mount` takes away the whole group and `mount` one call,
 * while `@file-system` does not take away `close`, which `@basic-io` allows too. Names that mean nothing
 * are ignored, as systemd.nspawn(5) SystemCallFilter= has it.
 */
export function allowedCalls(
  hasCapability: (name: string) => boolean,
  filter: SystemCallFilter,
  abis: readonly Abi[],
): ReadonlySet<string> {
  const denied = new Set(filter.deny)
  const allowed = new Set<string>()
  const open = (item: string): void => {
    if (denied.has(item)) return
    if (!item.startsWith('@')) {
      allowed.add(item)
      return
    }
    const members = item === '@known' ? knownCalls(abis) : groupMembers(item)
    for (const member of members ?? []) open(member)
  }
  for (const item of listedItems(hasCapability, filter)) open(item)
  return allowed
}

function knownCalls(abis: readonly Abi[]): ReadonlySet<string> {
  return new Set(abis.flatMap((abi) => [...systemCalls(abi).keys()]))
}
