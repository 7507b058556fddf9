/**
 * The application binary interfaces a process can make system calls through, and their numbers. A
 * 64-bit kernel serves several at once, told apart by the `arch` word of `struct seccomp_data` and, for
 * x32, by a bit of the number (linux/audit.h, linux/seccomp.h).
 */
import { words } from './groups.ts'
import arm from './tables/arm.ts'
import arm64 from './tables/arm64.ts'
import x32 from './tables/x32.ts'
import x8664 from './tables/x86-64.ts'
import x86 from './tables/x86.ts'

export type Abi = 'x86' | 'x32' | 'x86-64' | 'arm' | 'arm64'

/** Set in the number of every x32 call (`__X32_SYSCALL_BIT`). */
export const X32_BIT = 0x40000000

/** `AUDIT_ARCH_…` of linux/audit.h. x32 shares x86-64's. */
export const AUDIT_ARCH: Readonly<Record<Abi, number>> = {
  x86: 0x40000003,
  x32: 0xc000003e,
  'x86-64': 0xc000003e,
  arm: 0x40000028,
  arm64: 0xc00000b7,
}

/**
 * The ABIs a filter must know on a host of this architecture. A 32-bit runtime may run on a 64-bit
 * kernel, so both sizes are always there: a call through an ABI that was left out would go unfiltered.
 */
export function abisOf(architecture: Abi): readonly Abi[] {
  return architecture === 'arm' || architecture === 'arm64'
    ? ['arm64', 'arm']
    : ['x86-64', 'x32', 'x86']
}

/**
 * The ABI of a Node process (`process.arch`).
 *
 * @returns undefined where we have no tables
 */
export function abiOfNode(architecture: string): Abi | undefined {
  switch (architecture) {
    case 'x64':
      return 'x86-64'
    case 'ia32':
      return 'x86'
    case 'arm64':
    case 'arm':
      return architecture
    default:
      return undefined
  }
}

const TABLES: Readonly<Record<Abi, string>> = { x86, x32, 'x86-64': x8664, arm, arm64 }
const parsed = new Map<Abi, ReadonlyMap<string, number>>()

/** Numbers of all calls of an ABI by name, x32's without their bit. Ascending by number. */
export function systemCalls(abi: Abi): ReadonlyMap<string, number> {
  let calls = parsed.get(abi)
  if (calls === undefined) parsed.set(abi, (calls = parseTable(TABLES[abi])))
  return calls
}

function parseTable(text: string): ReadonlyMap<string, number> {
  const calls = new Map<string, number>()
  let next = 0
  for (const word of words(text)) {
    const first = word.charCodeAt(0)
    if (first >= 0x30 && first <= 0x39) next = Number(word)
    else calls.set(word, next++)
  }
  return calls
}
