/**
 * Sets of capabilities (capabilities(7)), and which of them a container keeps. Sets are written as the
 * kernel prints them in /proc/PID/status, so that a plan with them is JSON and can be compared by eye.
 */
import type { Settings } from '../settings/settings.ts'
import { capabilityNames, defaultCapabilities } from '../settings/values/capability.ts'

/** A set of capabilities: 16 lower-case hexadecimal digits, bit N for capability number N. */
export type CapabilityMask = string

export const NO_CAPABILITIES: CapabilityMask = '0000000000000000'

/**
 * The set of these capabilities, named as in `Settings`.
 *
 * @throws RangeError on a name it does not know: `settings/` has checked them
 */
export function capabilityMask(names: Iterable<string>): CapabilityMask {
  let bits = 0n
  for (const name of names) bits |= bitOf(name)
  return maskOf(bits)
}

/** The capabilities in a set by name, ascending by number; those without a name as numbers. */
export function namesInMask(mask: CapabilityMask): readonly string[] {
  const bits = bitsOf(mask)
  const names: string[] = []
  for (let number = 0; number < 64; number++) {
    if (((bits >> BigInt(number)) & 1n) !== 0n) names.push(capabilityNames[number] ?? `${number}`)
  }
  return names
}

/** Whether a set contains this capability. */
export function hasCapability(mask: CapabilityMask, name: string): boolean {
  return (bitsOf(mask) & bitOf(name)) !== 0n
}

export interface CapabilityFacts {
  readonly userNamespace: boolean
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
 * less `--drop-capability=`; less NET_BIND_SERVICE with a user namespace and the network of the
 * host, where it could not be used; less what the runtime itself lacks, unless a user namespace gives
 * it everything anew.
 */
export function keptCapabilities(
  settings: Pick<Settings, 'capabilities'>,
  facts: CapabilityFacts,
): KeptCapabilities {
  let bits = bitsOf(capabilityMask([...defaultCapabilities(), ...settings.capabilities.add]))
  if (facts.privateNetwork) bits |= bitsOf(capabilityMask(['CAP_NET_ADMIN']))
  bits &= ~bitsOf(capabilityMask(settings.capabilities.drop))
  if (facts.userNamespace && !facts.privateNetwork) {
    bits &= ~bitsOf(capabilityMask(['CAP_NET_BIND_SERVICE']))
  }
  const host = facts.userNamespace ? bits : bitsOf(facts.hostBounding)
  return { kept: maskOf(bits & host), missing: namesInMask(maskOf(bits & ~host)) }
}

/** Those of `names` that are not in a set. */
export function missingCapabilities(
  names: Iterable<string>,
  set: CapabilityMask,
): readonly string[] {
  return namesInMask(maskOf(bitsOf(capabilityMask(names)) & ~bitsOf(set)))
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

function bitOf(name: string): bigint {
  const number = capabilityNames.indexOf(name)
  if (number < 0) throw new RangeError(`unknown capability ${name}`)
  return 1n << BigInt(number)
}

function bitsOf(mask: CapabilityMask): bigint {
  return BigInt(`0x${mask}`)
}

function maskOf(bits: bigint): CapabilityMask {
  return bits.toString(16).padStart(16, '0')
}
