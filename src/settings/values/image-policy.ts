/**
 * Which partitions of a disk image may be used, and how they must be protected.
 *
 * @see systemd.image-policy(7)
 */
import { usageError } from '../../errors.ts'
import { nearest } from '../nearest.ts'

/** The partitions that a policy speaks of. */
export const policyPartitions = [
  'root',
  'usr',
  'home',
  'srv',
  'esp',
  'xbootldr',
  'swap',
  'root-verity',
  'root-verity-sig',
  'usr-verity',
  'usr-verity-sig',
  'tmp',
  'var',
] as const
export type PolicyPartition = (typeof policyPartitions)[number]

/** What may be the case of a partition; it must be one of those that are listed. */
export const policyUses = [
  'unprotected',
  'verity',
  'signed',
  'encrypted',
  'unused',
  'absent',
] as const
export type PolicyUse = (typeof policyUses)[number]

export interface PartitionPolicy {
  readonly uses: readonly PolicyUse[]
  /** What the flag of the partition must say; undefined leaves it open. */
  readonly readOnly: boolean | undefined
  readonly grow: boolean | undefined
}

export interface ImagePolicy {
  readonly partitions: Readonly<Partial<Record<PolicyPartition, PartitionPolicy>>>
  /** Of all that are not named. */
  readonly others: PartitionPolicy
}

const every: PartitionPolicy = { uses: policyUses, readOnly: undefined, grow: undefined }
const ignored: PartitionPolicy = { ...every, uses: ['unused', 'absent'] }
const absent: PartitionPolicy = { ...every, uses: ['absent'] }

const whole: Readonly<Record<string, PartitionPolicy>> = { '*': every, '-': ignored, '~': absent }

const groups: Readonly<Record<string, readonly PolicyUse[]>> = {
  open: policyUses,
  ignore: ['unused', 'absent'],
}

/**
 * Reads `PART=FLAG+FLAG…:PART=…`, or `*`, `-` or `~` for all.
 *
 * @throws NspawnError `USAGE`
 */
export function parseImagePolicy(text: string): ImagePolicy {
  const all = text === '' ? ignored : whole[text]
  if (all !== undefined) return { partitions: {}, others: all }
  const partitions: Partial<Record<PolicyPartition, PartitionPolicy>> = {}
  let others: PartitionPolicy | undefined
  for (const rule of text.split(':')) {
    const equals = rule.indexOf('=')
    if (equals < 0) throw usageError(`"${rule}" is not PARTITION=FLAGS`, syntax)
    const name = rule.slice(0, equals)
    const policy = parseFlags(rule.slice(equals + 1))
    if (name === '') {
      if (others !== undefined) throw usageError('there are two defaults in it', syntax)
      others = policy
    } else {
      const partition = known(name, policyPartitions, 'partition')
      if (partitions[partition] !== undefined)
        throw usageError(`there are two rules for ${name} in it`, syntax)
      partitions[partition] = policy
    }
  }
  return { partitions, others: others ?? ignored }
}

/** What holds for an image that nobody said anything about. */
export const defaultImagePolicy: ImagePolicy = parseImagePolicy(
  [
    ...['root', 'usr'].map((name) => `${name}=verity+signed+encrypted+unprotected+absent`),
    ...['home', 'srv', 'tmp', 'var'].map((name) => `${name}=encrypted+unprotected+absent`),
    ...['esp', 'xbootldr'].map((name) => `${name}=unprotected+absent`),
  ].join(':'),
)

/** The rule for a partition; what protects another one follows that other one where it has no rule of its own. */
export function policyFor(policy: ImagePolicy, partition: PolicyPartition): PartitionPolicy {
  return policy.partitions[partition] ?? followed(policy, partition) ?? policy.others
}

/** Verity data may be there exactly where it may be used; the signature likewise. */
function followed(
  { partitions }: ImagePolicy,
  partition: PolicyPartition,
): PartitionPolicy | undefined {
  const [, data, signature] = /^(root|usr)-verity(-sig)?$/.exec(partition) ?? []
  const rule = partitions[data as PolicyPartition]
  if (rule === undefined) return undefined
  const wanted: readonly PolicyUse[] = signature === undefined ? ['verity', 'signed'] : ['signed']
  const { uses } = rule
  if (!wanted.some((use) => uses.includes(use))) return ignored
  const optional = uses.some((use) => !wanted.includes(use))
  return { ...every, uses: ['unprotected', ...(optional ? (['unused', 'absent'] as const) : [])] }
}

const syntax = 'for example root=verity+signed:home=encrypted:=ignore'

function parseFlags(text: string): PartitionPolicy {
  const uses = new Set<PolicyUse>()
  const flags = { 'read-only': new Set<boolean>(), growfs: new Set<boolean>() }
  for (const flag of text === '' ? [] : text.split('+')) {
    const group = groups[flag]
    const [, mark, state] = /^(read-only|growfs)-(on|off)$/.exec(flag) ?? []
    if (group !== undefined) for (const use of group) uses.add(use)
    else if (mark !== undefined) flags[mark as keyof typeof flags].add(state === 'on')
    else uses.add(known(flag, policyUses, 'flag'))
  }
  return {
    uses: uses.size === 0 ? policyUses : [...uses],
    readOnly: only(flags['read-only']),
    grow: only(flags.growfs),
  }
}

/** Who allows both states asks for neither. */
function only(states: ReadonlySet<boolean>): boolean | undefined {
  const [state] = states
  return states.size === 1 ? state : undefined
}

function known<Name extends string>(text: string, names: readonly Name[], what: string): Name {
  const name = names.find((one) => one === text)
  if (name !== undefined) return name
  const guess = nearest(text, names)
  throw usageError(
    `there is no ${what} "${text}"`,
    guess === undefined ? `there are ${names.join(', ')}` : `did you mean ${guess}?`,
  )
}
