import { expect, test } from 'vitest'
import { systemCalls, type Abi } from '../../../../src/plan/seccomp/abi.ts'
import { groupMembers, groupNames } from '../../../../src/plan/seccomp/groups.ts'

const ABIS: readonly Abi[] = ['x86-64', 'x32', 'x86', 'arm64', 'arm']

function of(abi: Abi, ...names: string[]): readonly (number | undefined)[] {
  return names.map((name) => systemCalls(abi).get(name))
}

/** Calls of architectures that have no table here. */
const ELSEWHERE =
  /^(s390_|riscv_|subpage_prot|switch_endian|swapcontext|rtas|sys_debug_setcontext|fstatat64$)/

test('a group names only calls and groups that exist', () => {
  const known = new Set(ABIS.flatMap((abi) => [...systemCalls(abi).keys()]))
  const strangers = groupNames
    .flatMap((group) => groupMembers(group)!)
    .filter((name) => (name.startsWith('@') ? groupMembers(name) === undefined : !known.has(name)))
    .filter((name) => !ELSEWHERE.test(name))
  expect(strangers).toEqual([])
})

test('a group that does not exist has no members', () => {
  expect(groupMembers('@nothing')).toBeUndefined()
  expect(groupMembers('toString')).toBeUndefined()
})

test('numbers are those of the kernel', () => {
  expect(of('x86-64', 'read', 'mount', 'clone3', 'mseal')).toEqual([0, 165, 435, 462])
  expect(of('x32', 'read', 'rt_sigaction', 'execve')).toEqual([0, 512, 520])
  expect(of('x86', 'restart_syscall', 'socketcall', 'socket')).toEqual([0, 102, 359])
  expect(of('arm64', 'io_setup', 'openat', 'mount')).toEqual([0, 56, 40])
  expect(of('arm', 'open', 'sync_file_range2', 'set_tls')).toEqual([5, 341, 0xf0005])
})

test.each(ABIS)('%s has no number twice', (abi) => {
  const numbers = [...systemCalls(abi).values()]
  expect(new Set(numbers).size).toBe(numbers.length)
  expect(numbers.length).toBeGreaterThan(320)
})
