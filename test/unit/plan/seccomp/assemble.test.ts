import { describe, expect, test } from 'vitest'
import { NO_CAPABILITIES, capabilityMask } from '../../../../src/plan/capabilities.ts'
import { capabilityNames, defaultCapabilities } from '../../../../src/settings/values/capability.ts'
import {
  AUDIT_ARCH,
  X32_BIT,
  abiOfNode,
  systemCalls,
  type Abi,
} from '../../../../src/plan/seccomp/abi.ts'
import {
  assembleSeccomp,
  commonKey,
  compileFilter,
  type SeccompRequest,
} from '../../../../src/plan/seccomp/assemble.ts'
import { groupMembers } from '../../../../src/plan/seccomp/groups.ts'
import { PRECOMPILED } from '../../../../src/plan/seccomp/precompiled.ts'
import { runProgram } from './bpf-interpreter.ts'

const ABIS: readonly Abi[] = ['x86-64', 'x32', 'x86', 'arm64', 'arm']
const [EPERM, EINVAL, ENOSYS, EAFNOSUPPORT] = ['errno 1', 'errno 22', 'errno 38', 'errno 97']
const familyOf = (abi: Abi): Abi => (abi.startsWith('arm') ? 'arm64' : 'x86-64')

function request(changes: Partial<SeccompRequest> = {}): SeccompRequest {
  return {
    architecture: 'x86-64',
    capabilities: capabilityMask(defaultCapabilities()),
    filter: { allow: [], deny: [] },
    suppressSync: false,
    mode: 'on',
    ...changes,
  }
}

/** Asks the filter for a request about calls, by name or by number. */
function filterOf(abi: Abi, changes: Partial<SeccompRequest> = {}) {
  const [program] = assembleSeccomp(request({ architecture: familyOf(abi), ...changes }))
  const ask = (call: string | number, args: readonly bigint[] = []) => {
    const number = typeof call === 'number' ? call : systemCalls(abi).get(call)
    if (number === undefined) throw new Error(`no ${call} on ${abi}`)
    const nr = abi === 'x32' ? number + X32_BIT : number
    return runProgram(program!.instructions, { arch: AUDIT_ARCH[abi], nr, args })
  }
  const names = [...systemCalls(abi).keys()]
  const verdict = (call: string | number, args?: readonly bigint[]) => ask(call, args).verdict
  return {
    ask,
    names,
    verdict,
    /** The different answers to these calls, those the ABI lacks aside. */
    answers: (calls: readonly string[]) => [
      ...new Set(calls.filter((name) => names.includes(name)).map((name) => verdict(name))),
    ],
    refused: () => names.filter((name) => verdict(name) !== 'allow'),
  }
}

describe.each(ABIS)('%s', (abi) => {
  test('every number is either a known call or unknown with ENOSYS', () => {
    const { verdict, names } = filterOf(abi)
    const missing = new Set(['listns', 'lsm_set_self_attr', 'nfsservctl'])
    const known = names.filter((name) => !missing.has(name))
    const numbers = new Set(known.map((name) => systemCalls(abi).get(name)))
    const unknown = Array.from({ length: 1100 }, (_, number) => number)
      .concat(0x3fffffff, 0x7fffffff, 0xbfffffff)
      .filter((number) => !numbers.has(number))
    expect(known.filter((name) => !/^(allow|errno 1)$/.test(verdict(name)))).toEqual([])
    expect(unknown.filter((number) => verdict(number) !== ENOSYS)).toEqual([])
  })

  test('the kernel can decide in advance about every call but socket', () => {
    const { ask, names } = filterOf(abi)
    expect(names.filter((name) => !ask(name).constant)).toEqual(['socket'])
    expect(ask('socket').verdict).toBe('allow')
  })

  test('no answer takes more than twenty instructions', () => {
    const { ask, names } = filterOf(abi, { suppressSync: true })
    expect(names.filter((name) => ask(name).steps > 20)).toEqual([])
  })

  test('an audit socket has no address family, other sockets pass', () => {
    const { verdict } = filterOf(abi)
    expect(verdict('socket', [16n, 3n, 9n])).toBe(EAFNOSUPPORT)
    expect(verdict('socket', [16n, 0x80002n, 9n])).toBe(EAFNOSUPPORT)
    expect(verdict('socket', [16n, 3n, 0n])).toBe('allow')
    expect(verdict('socket', [2n, 3n, 9n])).toBe('allow')
    // The kernel looks at the lower halves only.
    expect(verdict('socket', [0x1_0000_0010n, 3n, 0x7_0000_0009n])).toBe(EAFNOSUPPORT)
  })

  test('without capabilities, what needs one is refused', () => {
    const before = filterOf(abi)
    const { answers, verdict } = filterOf(abi, { capabilities: NO_CAPABILITIES })
    expect(before.verdict('ptrace')).toBe('allow')
    expect(
      answers(['ptrace', 'reboot', 'vhangup', 'acct', 'syslog', 'mlock', 'init_module']),
    ).toEqual([EPERM])
    expect(verdict('process_vm_readv')).toBe('allow')
  })

  test('with all capabilities, only what is left out on purpose is refused', () => {
    const { refused, answers } = filterOf(abi, { capabilities: capabilityMask(capabilityNames) })
    expect(answers(['acct', 'syslog', 'mlock', 'init_module', 'clock_settime'])).toEqual(['allow'])
    expect(refused()).toEqual(expect.arrayContaining(['bpf', 'keyctl', 'swapon', 'pkey_alloc']))
  })

  test('--suppress-sync turns syncing into nothing and says no to synchronous files', () => {
    const { answers, verdict, names } = filterOf(abi, { suppressSync: true })
    expect(answers(groupMembers('@sync')!)).toEqual(['errno 0'])
    expect(verdict('fsync', [0xffffffffn])).toBe('allow')
    expect(verdict('sync', [0xffffffffn])).toBe('errno 0')

    const O_DSYNC = 0o10000n
    const O_SYNC = 0o4010000n
    const opened = (flags: bigint) => [
      ...(names.includes('open') ? [verdict('open', [0n, flags])] : []),
      verdict('openat', [0n, 0n, flags]),
    ]
    expect(new Set(opened(0o2101n))).toEqual(new Set(['allow']))
    for (const flags of [O_DSYNC, O_SYNC | 0o101n, O_SYNC & ~O_DSYNC]) {
      expect(new Set(opened(flags))).toEqual(new Set([EINVAL]))
    }

    expect(verdict('openat2')).toBe(ENOSYS)
    expect(filterOf(abi).answers(['openat2', 'fsync', 'sync', 'msync'])).toEqual(['allow'])
  })
})

describe('the default allow list', () => {
  test.each(ABIS)('refuses exactly these calls on %s', (abi) => {
    expect(filterOf(abi).refused().toSorted().join(' ')).toMatchSnapshot()
  })

  test.each(ABIS)('lets the calls through on %s that the payload needs to live', (abi) => {
    const needed = ['execve', 'clone', 'openat', 'mount', 'unshare', 'seccomp', 'futex_waitv']
    expect(filterOf(abi).answers(needed)).toEqual(['allow'])
  })
})

describe('--system-call-filter=', () => {
  const { verdict: usual } = filterOf('x86-64')
  const withFilter = (allow: string[], deny: string[] = []) =>
    filterOf('x86-64', { filter: { allow, deny } })

  test('adds single calls and groups', () => {
    expect(usual('keyctl')).toBe(EPERM)
    expect(withFilter(['keyctl']).verdict('keyctl')).toBe('allow')
    expect(withFilter(['keyctl']).verdict('add_key')).toBe(EPERM)
    expect(withFilter(['@keyring']).verdict('add_key')).toBe('allow')
    expect(withFilter(['@privileged']).verdict('swapon')).toBe('allow')
  })

  test('a call that seems missing can be allowed', () => {
    expect(usual('listns')).toBe(ENOSYS)
    expect(withFilter(['listns']).verdict('listns')).toBe('allow')
  })

  test('@known allows every known call and no unknown one', () => {
    const { refused, verdict } = withFilter(['@known'])
    expect(refused()).toEqual([])
    expect(verdict(400)).toBe(ENOSYS)
  })

  test('a denied group goes with all its calls', () => {
    expect(withFilter([], ['@mount']).answers(groupMembers('@mount')!)).toEqual([EPERM])
  })

  test('a denied call leaves its group alone', () => {
    const { verdict } = withFilter([], ['mount'])
    expect(verdict('mount')).toBe(EPERM)
    expect(verdict('umount2')).toBe('allow')
  })

  test('a denied group does not take away what another group allows', () => {
    const { verdict } = withFilter([], ['@file-system'])
    expect(verdict('close')).toBe('allow')
    expect(verdict('openat')).toBe(EPERM)
  })

  test('a call that is also an entry of its own goes with its name, not with the group', () => {
    expect(withFilter([], ['@default']).verdict('brk')).toBe('allow')
    expect(withFilter([], ['@default']).verdict('getpid')).toBe(EPERM)
    expect(withFilter([], ['brk']).verdict('brk')).toBe(EPERM)
  })

  test('deny beats allow', () => {
    expect(withFilter(['keyctl'], ['keyctl']).verdict('keyctl')).toBe(EPERM)
    expect(withFilter(['@keyring'], ['keyctl']).verdict('keyctl')).toBe(EPERM)
    expect(withFilter(['@keyring'], ['keyctl']).verdict('add_key')).toBe('allow')
  })

  test('names that mean nothing are ignored', () => {
    const { refused } = withFilter(['no_such_call', '@no-such-group'], ['@neither', 'nor_this'])
    expect(refused()).toEqual(filterOf('x86-64').refused())
  })

  test('a denied socket call still tells audit that there is no audit', () => {
    const { verdict } = withFilter([], ['socket'])
    expect(verdict('socket', [16n, 3n, 9n])).toBe(EAFNOSUPPORT)
    expect(verdict('socket', [2n, 1n, 0n])).toBe(EPERM)
  })
})

describe('the program', () => {
  test('there is one, and none when filters are off', () => {
    expect(assembleSeccomp(request())).toHaveLength(1)
    expect(assembleSeccomp(request({ mode: 'off', suppressSync: true }))).toEqual([])
  })

  test.each(['x86-64', 'arm64'] as const)(
    'is there ready-made for the usual container on %s',
    (abi) => {
      for (const suppressSync of [false, true]) {
        const usual = request({ architecture: abi, suppressSync })
        // Out of date? Run scripts/precompile-seccomp.ts.
        expect(PRECOMPILED[commonKey(usual)!] === compileFilter(usual)).toBe(true)
      }
    },
  )

  test('asks for logging only when told to', () => {
    expect(assembleSeccomp(request())[0]!.log).toBe(false)
    expect(assembleSeccomp(request({ mode: 'log' }))[0]!.log).toBe(true)
  })

  test('is the same for a 32-bit runtime, which may sit on a 64-bit kernel', () => {
    for (const [narrow, wide] of [
      ['x86', 'x86-64'],
      ['arm', 'arm64'],
    ] as const) {
      expect(assembleSeccomp(request({ architecture: narrow }))).toEqual(
        assembleSeccomp(request({ architecture: wide })),
      )
    }
  })

  test('refuses calls from an ABI that the architecture does not have', () => {
    const [program] = assembleSeccomp(request())
    const call = { arch: AUDIT_ARCH.arm64, nr: 0 }
    expect(runProgram(program!.instructions, call).verdict).toBe(ENOSYS)
  })

  test('survives JSON', () => {
    const programs = assembleSeccomp(request())
    expect(JSON.parse(JSON.stringify(programs))).toEqual(programs)
  })

  test('is made for the architectures that Node calls by other names', () => {
    expect(['x64', 'ia32', 'arm64', 'arm', 'riscv64'].map(abiOfNode)).toEqual([
      'x86-64',
      'x86',
      'arm64',
      'arm',
      undefined,
    ])
  })
})
