import { describe, expect, test } from 'vitest'
import { AUDIT_ARCH, systemCalls, X32_BIT, type Abi } from '../../../../src/plan/seccomp/abi.ts'
import { compileProfile } from '../../../../src/plan/seccomp/profile.ts'
import type { SeccompCondition, SeccompProfile } from '../../../../src/settings/settings.ts'
import { seededRandom } from '../../../fixtures/random.ts'
import { runProgram } from './bpf-interpreter.ts'

const profile = (parts: Partial<SeccompProfile>): SeccompProfile => ({
  defaultAction: { kind: 'errno', errno: 1 },
  architectures: [],
  log: false,
  rules: [],
  ...parts,
})

function answer(program: string, abi: Abi, name: string | number, ...args: bigint[]): string {
  const number = typeof name === 'number' ? name : (systemCalls(abi).get(name) as number)
  const nr = abi === 'x32' ? number + X32_BIT : number
  return runProgram(program, { arch: AUDIT_ARCH[abi], nr, args }).verdict
}

const allow = { kind: 'allow' } as const

test('the default holds for calls that nothing is said about', () => {
  const rules = [{ names: ['read', 'no_such_call', 'openat2'], action: allow, conditions: [] }]
  const program = compileProfile(profile({ rules }), 'x86-64')
  expect(answer(program, 'x86-64', 'read')).toBe('allow')
  expect(answer(program, 'x86-64', 'openat2')).toBe('allow')
  expect(answer(program, 'x86-64', 'write')).toBe('errno 1')
})

test('calls that are newer than all of a profile seem to be missing, where it would refuse them', () => {
  const rules = [{ names: ['read', 'clone3'], action: allow, conditions: [] }]
  const strict = compileProfile(profile({ rules }), 'x86-64')
  expect(answer(strict, 'x86-64', 'openat2')).toBe('errno 38')
  expect(answer(strict, 'x86-64', 5000)).toBe('errno 38')
  expect(answer(strict, 'x86-64', 'pidfd_open')).toBe('errno 1')
  // A number in a gap of the table, below those.
  expect(answer(strict, 'x86-64', 400)).toBe('errno 1')
  const lenient = compileProfile(profile({ defaultAction: allow, rules }), 'x86-64')
  expect(answer(lenient, 'x86-64', 5000)).toBe('allow')
})

test('an architecture that is not listed kills', () => {
  const rules = [{ names: ['read'], action: allow, conditions: [] }]
  const native = compileProfile(profile({ rules }), 'x86-64')
  expect(answer(native, 'x86', 'read')).toBe('0')
  expect(answer(native, 'x32', 'read')).toBe('0')
  const all = compileProfile(profile({ rules, architectures: ['x86', 'x32'] }), 'x86-64')
  expect(answer(all, 'x86', 'read')).toBe('allow')
  expect(answer(all, 'x32', 'read')).toBe('allow')
  expect(answer(all, 'x86', 'exit')).toBe('errno 1')
  expect(runProgram(all, { arch: 1, nr: 0 }).verdict).toBe('0')
  const arm = compileProfile(profile({ rules, architectures: ['arm'] }), 'arm64')
  expect(answer(arm, 'arm64', 'read')).toBe('allow')
  expect(answer(arm, 'arm', 'read')).toBe('allow')
})

test.each([
  [{ kind: 'log' }, '7ffc0000'],
  [{ kind: 'trap' }, '30000'],
  [{ kind: 'kill-process' }, '80000000'],
  [{ kind: 'kill-thread' }, '0'],
  [{ kind: 'trace', value: 7 }, '7ff00007'],
  [{ kind: 'errno', errno: 38 }, 'errno 38'],
] as const)('%j', (action, expected) => {
  const program = compileProfile(
    profile({ rules: [{ names: ['read'], action, conditions: [] }] }),
    'x86-64',
  )
  expect(answer(program, 'x86-64', 'read')).toBe(expected)
})

/** What a condition means, in numbers of 64 bits. */
function holds(condition: SeccompCondition, argument: bigint): boolean {
  const value = BigInt(condition.value)
  switch (condition.operator) {
    case 'equal':
      return argument === value
    case 'not-equal':
      return argument !== value
    case 'less':
      return argument < value
    case 'at-most':
      return argument <= value
    case 'at-least':
      return argument >= value
    case 'greater':
      return argument > value
    case 'masked':
      return (argument & BigInt(condition.mask)) === value
  }
}

const edges = [0, 1, 2, 0x7fffffff, 0xfffffffe, 0xffffffff, 0x100000000, 0x100000001, 2 ** 53 - 1]
const operators = ['equal', 'not-equal', 'less', 'at-most', 'at-least', 'greater'] as const

describe('arguments of 64 bits', () => {
  test.each([...operators, 'masked' as const])('%s', (operator) => {
    const values = [...edges.map(BigInt), 2n ** 64n - 1n, 2n ** 63n, 0xffffffff00000000n]
    for (const value of edges) {
      const condition: SeccompCondition =
        operator === 'masked'
          ? { operator, index: 3, mask: 2 ** 53 - 2, value }
          : { operator, index: 3, value }
      const rules = [{ names: ['mmap'], action: allow, conditions: [condition] }]
      const program = compileProfile(profile({ rules }), 'x86-64')
      for (const argument of values) {
        const expected = holds(condition, argument) ? 'allow' : 'errno 1'
        const said = answer(program, 'x86-64', 'mmap', 0n, 0n, 0n, argument)
        expect(said, `${argument} ${operator} ${value}`).toBe(expected)
      }
    }
  })
})

test('the first rule that fits decides, whatever the rules are', () => {
  const random = seededRandom(7)
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T
  const names = ['read', 'write', 'socket', 'clone', 'personality', 'openat']
  for (let round = 0; round < 300; round++) {
    const rules = Array.from({ length: 1 + random(6) }, (_, at) => ({
      names: Array.from({ length: 1 + random(3) }, () => pick(names)),
      action: { kind: 'errno' as const, errno: 100 + at },
      conditions: Array.from({ length: random(3) }, () => ({
        operator: pick(operators),
        index: random(6),
        value: pick(edges),
      })),
    }))
    const program = compileProfile(
      profile({ rules: [...rules, { names: ['statx'], action: allow, conditions: [] }] }),
      'x86-64',
    )
    for (let call = 0; call < 20; call++) {
      const name = pick(names)
      const args = Array.from({ length: 6 }, () => BigInt(pick(edges)))
      const fits = rules.find(
        (rule) =>
          rule.names.includes(name) &&
          rule.conditions.every((one) => holds(one, args[one.index] as bigint)),
      )
      expect(answer(program, 'x86-64', name, ...args)).toBe(`errno ${fits?.action.errno ?? 1}`)
    }
  }
})

test('one that is too long for the kernel is refused', () => {
  const conditions = (value: number) => [{ operator: 'equal' as const, index: 0, value }]
  const rules = Array.from({ length: 2000 }, (_, at) => ({
    names: ['read'],
    action: { kind: 'errno' as const, errno: at },
    conditions: conditions(at),
  }))
  expect(() => compileProfile(profile({ rules }), 'x86-64')).toThrow('too long')
})
