/** Who a process is: ids, capabilities, limits. setresuid(2), capset(2), capabilities(7), setrlimit(2) */
import { lazyFunction } from './lazy-function.ts'
import { fail } from './libc.ts'
import { PR_CAP_AMBIENT, PR_CAPBSET_DROP, PR_SET_KEEPCAPS, prctl, tryPrctl } from './process.ts'

const nativeSetresuid = lazyFunction(
  'int setresuid(unsigned int r, unsigned int e, unsigned int s)',
)
const nativeSetresgid = lazyFunction(
  'int setresgid(unsigned int r, unsigned int e, unsigned int s)',
)
const nativeSetgroups = lazyFunction('int setgroups(unsigned long size, const unsigned int *list)')
const capset = lazyFunction('int capset(const uint8_t *header, const uint8_t *data)')
const setrlimit = lazyFunction('int setrlimit(int resource, const uint8_t *limit)')

/** The user, and the group, that stands for those who have no id (user_namespaces(7)). */
export const NOBODY = 65534

/** setgroups(2), setresgid(2), setresuid(2), in the only order that works. */
export function setIds(uid: number, gid: number, groups: readonly number[]): void {
  const step = 'cannot change user'
  if (nativeSetgroups(groups.length, [...groups]) < 0) fail('setgroups', { step })
  if (nativeSetresgid(gid, gid, gid) < 0) fail('setresgid', { step, path: String(gid) })
  if (nativeSetresuid(uid, uid, uid) < 0) fail('setresuid', { step, path: String(uid) })
}

/** The five sets as bit sets, bit N for capability N. */
export interface CapabilitySets {
  readonly bounding: bigint
  readonly permitted: bigint
  readonly effective: bigint
  readonly inheritable: bigint
  readonly ambient: bigint
}

/** Capabilities survive the next change of the user id. */
export function keepCapabilitiesOverUserChange(): void {
  prctl(PR_SET_KEEPCAPS, 1)
}

/** Drops everything outside `bounding` from the bounding set of the calling thread. */
export function limitBoundingSet(bounding: bigint): void {
  for (let cap = 0; cap < 64; cap++) {
    if ((bounding >> BigInt(cap)) & 1n) continue
    // Past the kernel's last capability this fails with EINVAL, and there is nothing more to drop.
    if (!tryPrctl(PR_CAPBSET_DROP, cap)) break
  }
}

/** capset(2), then the ambient set. */
export function setCapabilities(sets: CapabilitySets): void {
  const header = Buffer.alloc(8)
  header.writeUInt32LE(0x20080522, 0) // _LINUX_CAPABILITY_VERSION_3
  const data = Buffer.alloc(24)
  for (const half of [0, 1]) {
    const part = (set: bigint) => Number((set >> BigInt(32 * half)) & 0xffffffffn)
    data.writeUInt32LE(part(sets.effective), half * 12)
    data.writeUInt32LE(part(sets.permitted), half * 12 + 4)
    data.writeUInt32LE(part(sets.inheritable), half * 12 + 8)
  }
  if (capset(header, data) < 0) fail('capset', { step: 'cannot set capabilities' })
  const PR_CAP_AMBIENT_RAISE = 2
  const PR_CAP_AMBIENT_CLEAR_ALL = 4
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
  for (let cap = 0; cap < 64; cap++) {
    if ((sets.ambient >> BigInt(cap)) & 1n) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap)
  }
}

/** setrlimit(2); `null` is infinity. @returns whether the kernel took it */
export function trySetResourceLimit(
  resource: number,
  soft: number | null,
  hard: number | null,
): boolean {
  const limit = Buffer.alloc(16)
  limit.writeBigUInt64LE(soft === null ? 0xffffffffffffffffn : BigInt(soft), 0)
  limit.writeBigUInt64LE(hard === null ? 0xffffffffffffffffn : BigInt(hard), 8)
  return setrlimit(resource, limit) >= 0
}

const getrlimit = lazyFunction('int getrlimit(int resource, _Out_ uint8_t *limit)')

/** The hard limit of this process; `null` is infinity. */
export function currentHardLimit(resource: number): number | null {
  const limit = Buffer.alloc(16)
  if (getrlimit(resource, limit) < 0) fail('getrlimit')
  const hard = limit.readBigUInt64LE(8)
  return hard === 0xffffffffffffffffn ? null : Number(hard)
}
