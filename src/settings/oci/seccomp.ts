/** `linux.seccomp` of a bundle as a profile (config-linux.md, "Seccomp"). */
import type { z } from 'zod'
import type { SeccompAction, SeccompCondition, SeccompProfile } from '../settings.ts'
import { badBundle } from './config.ts'
import type { actionNames, operatorNames, seccompSchema } from './seccomp-schema.ts'

type Seccomp = z.infer<typeof seccompSchema>
type Rule = NonNullable<Seccomp['syscalls']>[number]
type Argument = NonNullable<Rule['args']>[number]

const EPERM = 1

/** Of others there can be no program on a host that we run on. */
const architectures: Readonly<Record<string, SeccompProfile['architectures'][number]>> = {
  SCMP_ARCH_X86: 'x86',
  SCMP_ARCH_X32: 'x32',
  SCMP_ARCH_X86_64: 'x86-64',
  SCMP_ARCH_ARM: 'arm',
  SCMP_ARCH_AARCH64: 'arm64',
}

/** @throws NspawnError `BAD_BUNDLE` */
export function readSeccomp(seccomp: Seccomp, file: string): SeccompProfile {
  const { defaultAction, defaultErrnoRet, flags = [], syscalls = [] } = seccomp
  return {
    defaultAction: action(defaultAction, defaultErrnoRet),
    architectures: (seccomp.architectures ?? []).flatMap((name) =>
      Object.hasOwn(architectures, name) ? [architectures[name]!] : [],
    ),
    log: flags.includes('SECCOMP_FILTER_FLAG_LOG'),
    rules: syscalls.flatMap((rule, at) => {
      const field = ['linux', 'seccomp', 'syscalls', at]
      return alternatives(rule.args ?? []).map((conditions) => ({
        names: rule.names,
        action: action(rule.action, rule.errnoRet),
        conditions: conditions.map((argument) => condition(argument, file, field)),
      }))
    }),
  }
}

/**
 * All comparisons of a rule have to hold. Where an argument is compared twice that would often be nothing, and
 * runtimes take such a rule for one of each.
 */
function alternatives(args: readonly Argument[]): readonly (readonly Argument[])[] {
  const twice = new Set(args.map(({ index }) => index)).size < args.length
  return twice ? args.map((one) => [one]) : [args]
}

function action(name: (typeof actionNames)[number], errno: number | undefined): SeccompAction {
  switch (name) {
    case 'SCMP_ACT_ALLOW':
      return { kind: 'allow' }
    case 'SCMP_ACT_LOG':
      return { kind: 'log' }
    case 'SCMP_ACT_TRAP':
      return { kind: 'trap' }
    case 'SCMP_ACT_KILL':
    case 'SCMP_ACT_KILL_THREAD':
      return { kind: 'kill-thread' }
    case 'SCMP_ACT_KILL_PROCESS':
      return { kind: 'kill-process' }
    case 'SCMP_ACT_ERRNO':
      return { kind: 'errno', errno: errno ?? EPERM }
    case 'SCMP_ACT_TRACE':
      return { kind: 'trace', value: errno ?? EPERM }
  }
}

const operators: Readonly<
  Record<
    Exclude<(typeof operatorNames)[number], 'SCMP_CMP_MASKED_EQ'>,
    Exclude<SeccompCondition['operator'], 'masked'>
  >
> = {
  SCMP_CMP_NE: 'not-equal',
  SCMP_CMP_LT: 'less',
  SCMP_CMP_LE: 'at-most',
  SCMP_CMP_EQ: 'equal',
  SCMP_CMP_GE: 'at-least',
  SCMP_CMP_GT: 'greater',
}

function condition(
  { index, value, valueTwo = 0, op }: Argument,
  file: string,
  field: readonly PropertyKey[],
): SeccompCondition {
  if (op === 'SCMP_CMP_MASKED_EQ')
    return { operator: 'masked', index, mask: value, value: valueTwo }
  if (valueTwo !== 0)
    throw badBundle(file, [...field, 'args'], 'valueTwo is for SCMP_CMP_MASKED_EQ alone')
  return { operator: operators[op], index, value }
}
