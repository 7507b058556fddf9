/**
 * A profile of a bundle as a BPF program (OCI runtime specification, config-linux.md, "Seccomp"). What the
 * specification leaves open is as libseccomp and runc have it: calls through an ABI that the profile does not list
 * kill, and numbers above all that a profile knows are answered as by a kernel that does not have them, so that the
 * payload's libc falls back.
 */
import { usageError } from '../../errors.ts'
import type { SeccompAction, SeccompCondition, SeccompProfile } from '../../settings/settings.ts'
import { abisOf, AUDIT_ARCH, systemCalls, X32_BIT, type Abi } from './abi.ts'
import { Assembler, type Label } from './bpf.ts'
import { emitSearch, rangesOf } from './search.ts'

const ENOSYS = 38
/** Offsets in `struct seccomp_data`. */
const OFFSET_NR = 0
const OFFSET_ARCH = 4
const lowerHalf = (argument: number): number => 16 + 8 * argument
const upperHalf = (argument: number): number => lowerHalf(argument) + 4

const SECCOMP_RET_ERRNO = 0x00050000
const KILL_THREAD = 0x00000000

type Rule = SeccompProfile['rules'][number]

/** What happens to a call; one object for all calls that have the same. */
interface Verdict {
  /** Tried in turn. */
  readonly rules: readonly Rule[]
  readonly otherwise: number
}

/**
 * @returns an array of `struct sock_filter`, in base64
 * @throws NspawnError (`USAGE`) when the kernel takes no program of that length
 */
export function compileProfile(profile: SeccompProfile, architecture: Abi): string {
  const assembler = new Assembler()
  const listed = new Set<Abi>([architecture, ...profile.architectures])
  const start = new Map<Abi, Label>()
  for (const abi of abisOf(architecture)) {
    if (listed.has(abi)) start.set(abi, emitAbi(assembler, abi, profile))
  }
  const kill = assembler.ret(KILL_THREAD)
  let entry = kill
  for (const abi of abisOf(architecture)) {
    const target = startOf(assembler, abi, start, kill)
    if (target !== undefined) entry = assembler.branch('equal', AUDIT_ARCH[abi], target, entry)
  }
  try {
    return Buffer.from(assembler.assemble(assembler.load(OFFSET_ARCH, entry))).toString('base64')
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw usageError(`the system call filter of the bundle is too long: ${error.message}`)
  }
}

/** Where the calls of an ABI go on; x32 is told apart from x86-64 by its numbers. */
function startOf(
  assembler: Assembler,
  abi: Abi,
  start: ReadonlyMap<Abi, Label>,
  kill: Label,
): Label | undefined {
  if (abi === 'x32') return undefined
  const target = start.get(abi)
  if (abi !== 'x86-64') return target === undefined ? undefined : assembler.load(OFFSET_NR, target)
  const split = assembler.branch(
    'greater-or-equal',
    X32_BIT,
    start.get('x32') ?? kill,
    target ?? kill,
  )
  return assembler.load(OFFSET_NR, split)
}

function emitAbi(assembler: Assembler, abi: Abi, profile: SeccompProfile): Label {
  const verdicts = new Map<string, Verdict>()
  const shared = (rules: readonly Rule[], otherwise: number): Verdict => {
    const key = JSON.stringify([
      rules.map(({ action, conditions }) => [action, conditions]),
      otherwise,
    ])
    const known = verdicts.get(key)
    if (known !== undefined) return known
    const verdict = { rules, otherwise }
    verdicts.set(key, verdict)
    return verdict
  }
  const calls = systemCalls(abi)
  const byName = new Map<string, Rule[]>()
  for (const rule of profile.rules) {
    for (const name of new Set(rule.names)) {
      if (!calls.has(name)) continue
      byName.set(name, [...(byName.get(name) ?? []), rule])
    }
  }
  const last = Math.max(...Array.from(byName.keys(), (name) => calls.get(name) as number))
  const otherwise = valueOf(profile.defaultAction)
  const beyond = byName.size > 0 && refusesUnknown(profile) ? SECCOMP_RET_ERRNO | ENOSYS : otherwise
  const ranges = rangesOf(
    abi,
    (name) => {
      const rules = byName.get(name) ?? []
      return shared(rules, (calls.get(name) as number) > last ? beyond : otherwise)
    },
    (after) => shared([], after >= last ? beyond : otherwise),
  )
  return emitSearch(assembler, ranges, (verdict) => emitVerdict(assembler, verdict))
}

function refusesUnknown({ defaultAction }: SeccompProfile): boolean {
  return !['allow', 'log', 'trace'].includes(defaultAction.kind)
}

function emitVerdict(assembler: Assembler, { rules, otherwise }: Verdict): Label {
  let next = assembler.ret(otherwise)
  for (const { action, conditions } of rules.toReversed()) {
    let fits = assembler.ret(valueOf(action))
    for (const condition of conditions.toReversed())
      fits = emitCondition(assembler, condition, fits, next)
    next = fits
  }
  return next
}

/** Loads of 32 bits: the upper half decides, or leaves it to the lower one. */
function emitCondition(
  assembler: Assembler,
  condition: SeccompCondition,
  yes: Label,
  no: Label,
): Label {
  const [upper, lower] = halves(condition.value)
  const at = { upper: upperHalf(condition.index), lower: lowerHalf(condition.index) }
  switch (condition.operator) {
    case 'masked': {
      const mask = halves(condition.mask)
      const low = assembler.and(mask[1], assembler.branch('equal', lower, yes, no))
      const rest = assembler.load(at.lower, low)
      const high = assembler.and(mask[0], assembler.branch('equal', upper, rest, no))
      return assembler.load(at.upper, high)
    }
    case 'equal': {
      const rest = assembler.load(at.lower, assembler.branch('equal', lower, yes, no))
      return assembler.load(at.upper, assembler.branch('equal', upper, rest, no))
    }
    case 'not-equal':
      return emitCondition(assembler, { ...condition, operator: 'equal' }, no, yes)
    case 'less':
      return emitCondition(assembler, { ...condition, operator: 'at-least' }, no, yes)
    case 'at-most':
      return emitCondition(assembler, { ...condition, operator: 'greater' }, no, yes)
    case 'at-least':
    case 'greater': {
      const least = condition.operator === 'greater' ? lower + 1 : lower
      const last = least > 0xffffffff ? no : assembler.branch('greater-or-equal', least, yes, no)
      const rest = assembler.load(at.lower, last)
      const same = assembler.branch('equal', upper, rest, yes)
      return assembler.load(at.upper, assembler.branch('greater-or-equal', upper, same, no))
    }
  }
}

function halves(value: number): readonly [upper: number, lower: number] {
  return [Math.floor(value / 2 ** 32), value % 2 ** 32]
}

/** `SECCOMP_RET_…` (linux/seccomp.h). */
function valueOf(action: SeccompAction): number {
  switch (action.kind) {
    case 'allow':
      return 0x7fff0000
    case 'log':
      return 0x7ffc0000
    case 'trace':
      return 0x7ff00000 | action.value
    case 'trap':
      return 0x00030000
    case 'errno':
      return SECCOMP_RET_ERRNO | action.errno
    case 'kill-process':
      return 0x80000000
    case 'kill-thread':
      return KILL_THREAD
  }
}
