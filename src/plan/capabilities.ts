/**
 * Capabilities (capabilities(7)): names, numbers, sets, and which of them a container keeps. Sets are
 * written as the kernel prints them in /proc/PID/status, so that a plan with them is JSON and can be
 * compared by eye.
 */
import type { Settings } from '../settings/settings.ts'

/** A set of capabilities: 16 lower-case hexadecimal digits, bit N for capability number N. */
export type CapabilityMask = string

/** Names by number, from linux/capability.h; none has been added since CAP_CHECKPOINT_RESTORE (5.9). */
const NAMES: readonly string[] = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
  SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
  AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
  PERFMON BPF CHECKPOINT_RESTORE`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`)

/** What a container keeps unless told otherwise (systemd.nspawn(1), --capability=). */
export const DEFAULT_CAPABILITIES: readonly string[] = `
  AUDIT_CONTROL AUDIT_WRITE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_OWNER KILL LEASE
  LINUX_IMMUTABLE MKNOD NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN
  SYS_BOOT SYS_CHROOT SYS_NICE SYS_PTRACE SYS_RESOURCE SYS_TTY_CONFIG`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`)

export const NO_CAPABILITIES: CapabilityMask = '0000000000000000'
export const ALL_CAPABILITIES: CapabilityMask = 'ffffffffffffffff'

/**
 * The number of a capability.
 *
 * @param text its name with the CAP_ prefix, in any letter case, or a plain number up to 62
 * @returns undefined when it is neither
 */
export function capabilityNumber(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text)
    return number <= 62 ? number : undefined
  }
  const number = NAMES.indexOf(text.toUpperCase())
  return number < 0 ? undefined : number
}

/** The name of a number as the headers write it, or the number itself when it has none yet. */
export function capabilityName(number: number): string {
  return NAMES[number] ?? String(number)
}

/**
 * The set of these capabilities.
 *
 * @param names names or numbers as `capabilityNumber()` takes them; `all` stands for every bit
 * @throws RangeError on a name it does not know: `settings/` has checked them
 */
export function capabilityMask(names: Iterable<string>): CapabilityMask {
  let bits = 0n
  for (const name of names) {
    if (name === 'all') return ALL_CAPABILITIES
    const number = capabilityNumber(name)
    if (number === undefined) throw new RangeError(`unknown capability ${name}`)
    bits |= 1n << BigInt(number)
  }
  return maskOf(bits)
}

/** The capabilities in a set by name, ascending by number; bits without a name are numbers. */
export function capabilityNames(mask: CapabilityMask): readonly string[] {
  const names: string[] = []
  for (let number = 0; number < 64; number++) {
    if (((bitsOf(mask) >> BigInt(number)) & 1n) !== 0n) names.push(capabilityName(number))
  }
  return names
}

/** Whether a set contains this capability. */
export function hasCapability(mask: CapabilityMask, name: string): boolean {
  const number = capabilityNumber(name)
  return number !== undefined && ((bitsOf(mask) >> BigInt(number)) & 1n) !== 0n
}

export interface CapabilityFacts {
  readonly userNamespace: boolean
  /** First host user of the container; 0 without a user namespace or with an identity map. */
  readonly shift: number
  /** A network namespace of its own, whether new or joined by path. */
  readonly privateNetwork: boolean
  /** The runtime's own bounding set: `CapBnd` of /proc/self/status. */
  readonly hostBounding: CapabilityMask
}

export interface KeptCapabilities {
  readonly kept: CapabilityMask
  /** Asked for, but the runtime does not have them itself: a reason to warn. By name. */
  readonly missing: readonly string[]
}

/**
 * What the container keeps: the default, what `--capability=` adds and NET_ADMIN with a private network,
 * less `--drop-capability=`; less NET_BIND_SERVICE when its users are shifted and the network is the
 * host's, where it could not be used; less what the runtime itself lacks.
 */
export function keptCapabilities(
  settings: Pick<Settings, 'capabilities'>,
  facts: CapabilityFacts,
): KeptCapabilities {
  let bits = bitsOf(capabilityMask([...DEFAULT_CAPABILITIES, ...settings.capabilities.add]))
  if (facts.privateNetwork) bits |= bitsOf(capabilityMask(['CAP_NET_ADMIN']))
  bits &= ~bitsOf(capabilityMask(settings.capabilities.drop))
  if (facts.userNamespace && facts.shift > 0 && !facts.privateNetwork) {
    bits &= ~bitsOf(capabilityMask(['CAP_NET_BIND_SERVICE']))
  }
  const host = bitsOf(facts.hostBounding)
  // Bits beyond the names are only there because of `all`; nobody asked for them one by one.
  const named = (1n << BigInt(NAMES.length)) - 1n
  return { kept: maskOf(bits & host), missing: capabilityNames(maskOf(bits & named & ~host)) }
}

export interface CapabilitySets {
  readonly bounding: CapabilityMask
  readonly effective: CapabilityMask
  readonly permitted: CapabilityMask
  readonly inheritable: CapabilityMask
  readonly ambient: CapabilityMask
}

/**
 * The five sets a payload starts with. Another user than root gets only the ambient ones, which the
 * kernel makes effective at exec.
 */
export function capabilitySets(
  kept: CapabilityMask,
  ambient: readonly string[],
  payload: 'root' | 'other-user',
): CapabilitySets {
  const ambientMask = maskOf(bitsOf(capabilityMask(ambient)) & bitsOf(kept))
  if (payload === 'root') {
    return {
      bounding: kept,
      effective: kept,
      permitted: kept,
      inheritable: kept,
      ambient: ambientMask,
    }
  }
  return {
    bounding: kept,
    effective: NO_CAPABILITIES,
    permitted: ambientMask,
    inheritable: ambientMask,
    ambient: ambientMask,
  }
}

function bitsOf(mask: CapabilityMask): bigint {
  return BigInt(`0x${mask}`)
}

function maskOf(bits: bigint): CapabilityMask {
  return bits.toString(16).padStart(16, '0')
}
