/** Capabilities by name or number (capabilities(7), linux/capability.h), and the set kept by default. */
import { usageError } from '../../errors.ts'
import { nearest } from '../nearest.ts'
import { parseIntegerBetween } from './number.ts'

/** The index is the kernel's number. */
export const capabilityNames: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
]

const withheld: ReadonlySet<string> = new Set([
  'CAP_AUDIT_READ',
  'CAP_BLOCK_SUSPEND',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
  'CAP_IPC_LOCK',
  'CAP_MAC_ADMIN',
  'CAP_MAC_OVERRIDE',
  'CAP_NET_ADMIN',
  'CAP_PERFMON',
  'CAP_SYSLOG',
  'CAP_SYS_MODULE',
  'CAP_SYS_PACCT',
  'CAP_SYS_RAWIO',
  'CAP_SYS_TIME',
  'CAP_WAKE_ALARM',
])

/** What a container keeps when nothing is asked for: bounding set 0xfdecafff. */
export function defaultCapabilities(): readonly string[] {
  return capabilityNames.filter((name) => !withheld.has(name))
}

/**
 * The capabilities in a comma-separated list of names (any letter case) and numbers; `all` stands for
 * every one. Empty items are skipped.
 *
 * @throws NspawnError (`USAGE`) for an unknown name or number
 */
export function parseCapabilities(text: string): readonly string[] {
  const found = new Set<string>()
  for (const item of text.split(',')) {
    if (item === '') continue
    const named = item === 'all' ? capabilityNames : [oneCapability(item)]
    for (const name of named) found.add(name)
  }
  return [...found]
}

function oneCapability(item: string): string {
  const upper = item.toUpperCase()
  if (capabilityNames.includes(upper)) return upper
  const number = parseIntegerBetween(item, 0, capabilityNames.length - 1)
  const byNumber = number === undefined ? undefined : capabilityNames[number]
  if (byNumber !== undefined) return byNumber
  const guess = nearest(upper.startsWith('CAP_') ? upper : `CAP_${upper}`, capabilityNames)
  throw usageError(
    `there is no capability "${item}"`,
    guess === undefined ? '--capability=help lists the capabilities' : `did you mean ${guess}?`,
  )
}
