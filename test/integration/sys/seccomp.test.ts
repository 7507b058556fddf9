import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { capabilityMask } from '../../../src/plan/capabilities.ts'
import { defaultCapabilities } from '../../../src/settings/values/capability.ts'
import { abiOfNode, systemCalls } from '../../../src/plan/seccomp/abi.ts'
import {
  assembleSeccomp,
  type SeccompProgram,
  type SeccompRequest,
} from '../../../src/plan/seccomp/assemble.ts'
import { seccompAvailable } from '../../../src/sys/seccomp.ts'
import { bundleProgram } from '../../fixtures/bundled-program.ts'
import { lacks } from '../../fixtures/requires.ts'

const loader = bundleProgram('integration/sys/load-seccomp')
afterAll(() => loader[Symbol.dispose]())
const { directory } = loader

const NUMBERS = systemCalls(abiOfNode(process.arch)!)

function programsFor(changes: Partial<SeccompRequest>): readonly SeccompProgram[] {
  return assembleSeccomp({
    architecture: abiOfNode(process.arch)!,
    capabilities: capabilityMask(defaultCapabilities()),
    filter: { allow: [], deny: [] },
    suppressSync: false,
    mode: 'on',
    ...changes,
  })
}

/** Runs a command under these programs. */
function run(programs: readonly SeccompProgram[], command: readonly string[]) {
  const [node, script] = loader.command
  return spawnSync(node, [script, JSON.stringify(programs), ...command], {
    encoding: 'utf8',
    env: loader.env,
  })
}

/** Output of a Perl script under these programs. */
function perl(programs: readonly SeccompProgram[], script: string): string {
  const { status, stdout, stderr } = run(programs, ['perl', '-e', script])
  if (status !== 0) throw new Error(stderr)
  return stdout
}

/** What a call returns under these programs: `0`, a positive number, or minus errno. */
function callUnder(
  programs: readonly SeccompProgram[],
  call: string | number,
  args: readonly number[] = [],
): number {
  const number = typeof call === 'number' ? call : NUMBERS.get(call)!
  const script = `my $r = syscall(${[number, ...args].join(', ')}); print $r < 0 ? -($! + 0) : $r`
  return Number(perl(programs, script))
}

const [EPERM, EBADF, EINVAL, ENOSYS, EAFNOSUPPORT] = [1, 9, 22, 38, 97]

/** A Perl script that opens a file with one more flag, and prints errno. */
function openWith(flag: string): string {
  return `use Fcntl; print sysopen(F, "${directory}/f", O_CREAT | O_WRONLY | ${flag}) ? 0 : $! + 0`
}

describe.skipIf(lacks('root', 'program:perl'))('a loaded filter', () => {
  const usual = programsFor({})

  test('is one filter to the kernel, and binds the children', () => {
    const status = perl(usual, 'open F, "/proc/self/status"; print grep /^(Seccomp|NoNewP)/, <F>')
    expect(status.replaceAll('\t', ' ').trim().split('\n')).toEqual([
      'NoNewPrivs: 0',
      'Seccomp: 2',
      'Seccomp_filters: 1',
    ])
  })

  test('refuses known calls, denies the existence of others, and lets the rest through', () => {
    expect(callUnder(usual, 'keyctl', [99])).toBe(-EPERM)
    expect(callUnder(usual, 'lsm_set_self_attr')).toBe(-ENOSYS)
    expect(callUnder(usual, 1000)).toBe(-ENOSYS)
    expect(callUnder(usual, 'close', [99])).toBe(-EBADF)
  })

  test('hides audit', () => {
    expect(callUnder([], 'socket', [16, 3, 9])).toBeGreaterThan(2)
    expect(callUnder(usual, 'socket', [16, 3, 9])).toBe(-EAFNOSUPPORT)
    expect(callUnder(usual, 'socket', [16, 3, 0])).toBeGreaterThan(2)
  })

  test('can hold a filter of the user', () => {
    const own = programsFor({ filter: { allow: ['keyctl'], deny: ['@timer'] } })
    expect(callUnder(own, 'keyctl', [99])).not.toBe(-EPERM)
    expect(callUnder(own, 'timer_delete', [99])).toBe(-EPERM)
    expect(callUnder(usual, 'timer_delete', [99])).toBe(-EINVAL)
  })

  test('makes syncing a success that does nothing', () => {
    const suppressed = programsFor({ suppressSync: true })
    expect(callUnder([], 'fsync', [99])).toBe(-EBADF)
    expect(callUnder(suppressed, 'fsync', [99])).toBe(0)
    expect(callUnder(suppressed, 'openat2')).toBe(-ENOSYS)
    expect(perl(suppressed, openWith('0'))).toBe('0')
    expect(perl(suppressed, openWith('010000'))).toBe(String(EINVAL))
  })

  test('may ask for a log of what it refuses', () => {
    expect(callUnder(programsFor({ mode: 'log' }), 'keyctl', [99])).toBe(-EPERM)
  })

  test.runIf(process.arch === 'x64')('holds for the numbers of x32 and for 32-bit programs', () => {
    expect(callUnder(usual, 0x40000000 + NUMBERS.get('keyctl')!, [99])).toBe(-EPERM)
    expect(callUnder([], 0x40000000 + NUMBERS.get('keyctl')!, [99])).toBe(-ENOSYS)

    const keyctl32 = systemCalls('x86').get('keyctl')!
    writeFileSync(join(directory, 'call32'), elf32(keyctl32, 99), { mode: 0o755 })
    expect(run(usual, [join(directory, 'call32')]).status).toBe(EPERM)
    expect(run([], [join(directory, 'call32')]).status).not.toBe(EPERM)
  })
})

function word(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 255)
}

/** A 32-bit x86 program that makes one call and exits with the errno it got. */
function elf32(call: number, argument: number): Buffer {
  const address = 0x08048000
  const code = [
    // mov eax, call; mov ebx, argument; int 0x80; neg eax; mov ebx, eax
    [0xb8, ...word(call), 0xbb, ...word(argument), 0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3],
    // mov eax, exit; int 0x80
    [0xb8, ...word(1), 0xcd, 0x80],
  ].flat()
  const headers = 52 + 32
  const size = headers + code.length
  const halves = [2, 3, 52, 32, 1, 40, 0, 0].map((value) => [value, 0])
  return Buffer.from(
    [
      [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...halves.slice(0, 2).flat()],
      [1, address + headers, 52, 0, 0].flatMap(word),
      halves.slice(2).flat(),
      [1, 0, address, address, size, size, 5, 4096].flatMap(word),
      code,
    ].flat(),
  )
}

test('a program that is none is refused, with its purpose', () => {
  const broken = [{ purpose: 'nonsense', log: false, instructions: 'AAAAAAAAAAA=' }]
  expect(() => perl(broken, 'print 1')).toThrow(/cannot install the system call filter/)
})

test('this kernel has filters', () => {
  expect(seccompAvailable()).toBe(true)
})
