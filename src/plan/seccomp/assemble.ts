/**
 * From what a container may do to the BPF program that holds it to that. One program carries every
 * rule for every ABI of the host: each program the kernel loads costs at start (check, JIT, a pass over
 * all numbers) and, for calls that it cannot decide in advance, at run time.
 */
import type { SystemCallFilter } from '../../settings/settings.ts'
import { hasCapability, type CapabilityMask } from '../capabilities.ts'
import { abisOf, AUDIT_ARCH, X32_BIT, type Abi } from './abi.ts'
import { Assembler, type Label } from './bpf.ts'
import { groupMembers } from './groups.ts'
import { allowedCalls, decisiveCapabilities, seemsMissing } from './policy.ts'
import { PRECOMPILED } from './precompiled.ts'
import { emitSearch, rangesOf } from './search.ts'

export interface SeccompRequest {
  /** The host's own ABI; see `abiOfNode()`. */
  readonly architecture: Abi
  /** What the container keeps: its bounding set. */
  readonly capabilities: CapabilityMask
  readonly filter: SystemCallFilter
  readonly suppressSync: boolean
  /** `log`: the kernel notes every refusal in the audit log. `off`: no program at all. */
  readonly mode: 'on' | 'log' | 'off'
}

/** A program for `loadSeccompProgram()`, plain JSON. */
export interface SeccompProgram {
  /** What it is for, in words. */
  readonly purpose: string
  /** `SECCOMP_FILTER_FLAG_LOG`. */
  readonly log: boolean
  /** The kernel's `struct sock_filter` array, little endian, in base64. */
  readonly instructions: string
}

const ALLOW = 0x7fff0000
const EPERM = 1
const EINVAL = 22
const ENOSYS = 38
const EAFNOSUPPORT = 97

/** Those of `@sync` whose first argument is a descriptor. */
const SYNCS_OF_DESCRIPTORS = ['fdatasync', 'fsync', 'sync_file_range', 'sync_file_range2', 'syncfs']
const NEGATIVE = 0x80000000

const AF_NETLINK = 16
const NETLINK_AUDIT = 9
/** `O_DSYNC` and the bit that makes it `O_SYNC` (asm-generic/fcntl.h, the same on x86 and arm). */
const ANY_O_SYNC = 0o010000 | 0o04000000

/** Offsets in `struct seccomp_data`; arguments are 64 bits wide, here is their lower half. */
const OFFSET_NR = 0
const OFFSET_ARCH = 4
const argumentOffset = (index: number): number => 16 + 8 * index

/** `SECCOMP_RET_ERRNO`: the call is not made and returns this errno; 0 means it seems to succeed. */
const refuse = (errno: number): number => 0x00050000 | errno

/** What happens to a call; equal verdicts are one object or equal numbers, so that ranges can merge. */
type Verdict =
  | number
  | { readonly kind: 'audit-socket'; readonly otherwise: number }
  | { readonly kind: 'synchronous-open'; readonly flags: number; readonly otherwise: number }
  | { readonly kind: 'sync-of-descriptor'; readonly otherwise: number }

/**
 * Builds the filter of a container.
 *
 * What passes: the allow list. A call that is known but not allowed fails with EPERM, an unknown one
 * with ENOSYS, so that the payload's libc falls back; so do a few known ones, see `seemsMissing()`. Creating an audit socket fails with EAFNOSUPPORT,
 * which tells audit's libraries that there is no audit; with `suppressSync`, `@sync` calls return 0
 * without work unless given a negative descriptor, `open()` with O_SYNC or O_DSYNC fails with EINVAL, `openat2()` with ENOSYS (systemd.nspawn(1),
 * --system-call-filter= and --suppress-sync=).
 *
 * @returns none with mode `off`, else one
 */
export function assembleSeccomp(request: SeccompRequest): readonly SeccompProgram[] {
  if (request.mode === 'off') return []
  const key = commonKey(request)
  return [
    {
      purpose: request.suppressSync ? 'allow list, no audit, no sync' : 'allow list, no audit',
      log: request.mode === 'log',
      instructions: (key === undefined ? undefined : PRECOMPILED[key]) ?? compileFilter(request),
    },
  ]
}

/**
 * What a request without a filter of its own depends on; `PRECOMPILED` has the answers to the usual
 * ones, because compiling takes a cold process 5 ms.
 */
export function commonKey(request: SeccompRequest): string | undefined {
  if (request.filter.allow.length > 0 || request.filter.deny.length > 0) return undefined
  const [family] = abisOf(request.architecture)
  const kept = decisiveCapabilities.filter((name) => hasCapability(request.capabilities, name))
  return [family, ...kept, ...(request.suppressSync ? ['suppress-sync'] : [])].join(' ')
}

/** The program for a request, compiled from the tables: an array of `struct sock_filter`, in base64. */
export function compileFilter(request: Omit<SeccompRequest, 'mode'>): string {
  const abis = abisOf(request.architecture)
  const allowed = allowedCalls(
    (name) => hasCapability(request.capabilities, name),
    request.filter,
    abis,
  )
  const verdicts = makeVerdicts(allowed, request.suppressSync)

  const assembler = new Assembler()
  const start = new Map(abis.map((abi) => [abi, emitAbi(assembler, abi, verdicts)]))
  // A word of `arch` that is none of the host's ABIs cannot come from a real kernel; refuse it.
  let entry = assembler.ret(refuse(ENOSYS))
  for (const abi of abis) {
    if (abi === 'x32') continue
    const target = abi === 'x86-64' ? emitX32Split(assembler, start) : start.get(abi)
    entry = assembler.branch('equal', AUDIT_ARCH[abi], target as Label, entry)
  }
  const program = assembler.assemble(assembler.load(OFFSET_ARCH, entry))
  return Buffer.from(program).toString('base64')
}

/** Numbers with the x32 bit go to x32's half, the others to x86-64's. */
function emitX32Split(assembler: Assembler, start: ReadonlyMap<Abi, Label>): Label {
  const [x32, native] = [start.get('x32') as Label, start.get('x86-64') as Label]
  return assembler.load(OFFSET_NR, assembler.branch('greater-or-equal', X32_BIT, x32, native))
}

function makeVerdicts(
  allowed: ReadonlySet<string>,
  suppressSync: boolean,
): (name: string) => Verdict {
  const byList = (name: string): number => {
    if (allowed.has(name)) return ALLOW
    return refuse(seemsMissing(name) ? ENOSYS : EPERM)
  }
  const special = new Map<string, Verdict>()
  special.set('socket', { kind: 'audit-socket', otherwise: byList('socket') })
  if (suppressSync) {
    for (const name of groupMembers('@sync') ?? []) special.set(name, refuse(0))
    // Test suites check that syncing descriptor -1 fails: the kernel may say so.
    for (const name of SYNCS_OF_DESCRIPTORS) {
      special.set(name, { kind: 'sync-of-descriptor', otherwise: byList(name) })
    }
    for (const [name, flags] of [
      ['open', 1],
      ['openat', 2],
    ] as const) {
      special.set(name, { kind: 'synchronous-open', flags, otherwise: byList(name) })
    }
    special.set('openat2', refuse(ENOSYS))
  }
  return (name) => special.get(name) ?? byList(name)
}

function emitAbi(assembler: Assembler, abi: Abi, verdictOf: (name: string) => Verdict): Label {
  const unknown = refuse(ENOSYS)
  const ranges = rangesOf(abi, verdictOf, () => unknown)
  const tree = emitSearch(assembler, ranges, (verdict) => emitVerdict(assembler, verdict))
  // The x32 split has loaded the number already.
  return abi === 'x32' || abi === 'x86-64' ? tree : assembler.load(OFFSET_NR, tree)
}

function emitVerdict(assembler: Assembler, verdict: Verdict): Label {
  if (typeof verdict === 'number') return assembler.ret(verdict)
  const otherwise = assembler.ret(verdict.otherwise)
  if (verdict.kind === 'sync-of-descriptor') {
    const sign = assembler.branch('greater-or-equal', NEGATIVE, otherwise, assembler.ret(refuse(0)))
    return assembler.load(argumentOffset(0), sign)
  }
  if (verdict.kind === 'synchronous-open') {
    const refused = assembler.ret(refuse(EINVAL))
    const flags = assembler.branch('any-bit', ANY_O_SYNC, refused, otherwise)
    return assembler.load(argumentOffset(verdict.flags), flags)
  }
  const refused = assembler.ret(refuse(EAFNOSUPPORT))
  const protocol = assembler.branch('equal', NETLINK_AUDIT, refused, otherwise)
  const netlink = assembler.load(argumentOffset(2), protocol)
  const family = assembler.branch('equal', AF_NETLINK, netlink, otherwise)
  return assembler.load(argumentOffset(0), family)
}
