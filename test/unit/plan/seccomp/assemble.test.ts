import { describe, expect, test } from 'vitest'
import {
  ALL_CAPABILITIES,
  DEFAULT_CAPABILITIES,
  NO_CAPABILITIES,
  capabilityMask,
} from '../../../../src/plan/capabilities.ts'
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
    capabilities: capabilityMask(DEFAULT_CAPABILITIES),
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
  return {
    ask,
    verdict: (call: string | number, args?: readonly bigint[]) => ask(call, args).verdict,
    refused: () => [...systemCalls(abi).keys()].filter((name) => ask(name).verdict !== 'allow'),
  }
}

describe.each(ABIS)('%s', (abi) => {
  test('every number is either a known call or unknown with ENOSYS', () => {
    const { verdict } = filterOf(abi)
    const known = new Set(systemCalls(abi).values())
    const missing = new Set(
      ['listns', 'lsm_set_self_attr', 'nfsservctl'].map((name) => systemCalls(abi).get(name)),
    )
    for (let number = 0; number < 1100; number++) {
      if (missing.has(number)) expect(verdict(number), `${number}`).toBe(ENOSYS)
      else if (known.has(number)) expect(verdict(number), `${number}`).toMatch(/^(allow|errno 1)$/)
      else expect(verdict(number), `${number}`).toBe(ENOSYS)
    }
    for (const number of [0x3fffffff, 0x7fffffff, 0xbfffffff]) expect(verdict(number)).toBe(ENOSYS)
  })

  test('what is refused does not depend on arguments, what passes is decided once by the kernel', () => {
    const { ask } = filterOf(abi)
    for (const name of systemCalls(abi).keys()) {
      const { verdict, constant } = ask(name)
      if (name !== 'socket') expect(constant, name).toBe(true)
      if (name === 'socket') expect(verdict).toBe('allow')
    }
  })

  test('no answer takes more than twenty instructions', () => {
    const { ask } = filterOf(abi, { suppressSync: true })
    for (const name of systemCalls(abi).keys()) expect(ask(name).steps, name).toBeLessThan(21)
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
    const { verdict } = filterOf(abi, { capabilities: NO_CAPABILITIES })
    expect(before.verdict('ptrace')).toBe('allow')
    for (const name of ['ptrace', 'reboot', 'vhangup', 'acct', 'syslog', 'mlock', 'init_module']) {
      expect(verdict(name), name).toBe(EPERM)
    }
    expect(verdict('process_vm_readv')).toBe('allow')
  })

  test('with all capabilities, only what is left out on purpose is refused', () => {
    const { refused, verdict } = filterOf(abi, { capabilities: ALL_CAPABILITIES })
    for (const name of ['acct', 'syslog', 'mlock', 'init_module', 'clock_settime']) {
      expect(verdict(name), name).toBe('allow')
    }
    expect(refused()).toEqual(expect.arrayContaining(['bpf', 'keyctl', 'swapon', 'pkey_alloc']))
  })

  test('--suppress-sync turns syncing into nothing and says no to synchronous files', () => {
    const { verdict } = filterOf(abi, { suppressSync: true })
    for (const name of groupMembers('@sync')!) {
      if (systemCalls(abi).has(name)) expect(verdict(name), name).toBe('errno 0')
    }
    const O_DSYNC = 0o10000n
    const O_SYNC = 0o4010000n
    for (const [name, index] of [
      ['open', 1],
      ['openat', 2],
    ] as const) {
      if (!systemCalls(abi).has(name)) continue
      const opened = (flags: bigint) => verdict(name, Array(index).fill(0n).concat(flags))
      expect(opened(0o2101n)).toBe('allow')
      expect(opened(O_DSYNC)).toBe(EINVAL)
      expect(opened(O_SYNC | 0o101n)).toBe(EINVAL)
      expect(opened(O_SYNC & ~O_DSYNC)).toBe(EINVAL)
    }
    expect(verdict('openat2')).toBe(ENOSYS)
    expect(filterOf(abi).verdict('openat2')).toBe('allow')
    expect(filterOf(abi).verdict('fsync')).toBe('allow')
  })
})

describe('the default allow list', () => {
  test.each(ABIS)('refuses exactly these calls on %s', (abi) => {
    expect(filterOf(abi).refused().toSorted().join(' ')).toMatchSnapshot()
  })

  test.each(ABIS)('lets the calls through on %s that the payload needs to live', (abi) => {
    const { verdict } = filterOf(abi)
    for (const name of [
      'execve',
      'clone',
      'openat',
      'mount',
      'unshare',
      'seccomp',
      'futex_waitv',
    ]) {
      expect(verdict(name), name).toBe('allow')
    }
  })
})

describe('--system-call-filter=', () => {
  const { verdict: usual } = filterOf('x86-64')
  const with_ = (allow: string[], deny: string[] = []) =>
    filterOf('x86-64', { filter: { allow, deny } }).verdict

  test('adds single calls and groups', () => {
    expect(usual('keyctl')).toBe(EPERM)
    expect(with_(['keyctl'])('keyctl')).toBe('allow')
    expect(with_(['keyctl'])('add_key')).toBe(EPERM)
    expect(with_(['@keyring'])('add_key')).toBe('allow')
    expect(with_(['@privileged'])('swapon')).toBe('allow')
  })

  test('a call that seems missing can be allowed', () => {
    expect(usual('listns')).toBe(ENOSYS)
    expect(with_(['listns'])('listns')).toBe('allow')
  })

  test('@known allows every known call and no unknown one', () => {
    const all = with_(['@known'])
    for (const name of systemCalls('x86-64').keys()) expect(all(name), name).toBe('allow')
    expect(all(400)).toBe(ENOSYS)
  })

  test('a denied group goes with all its calls', () => {
    const verdict = with_([], ['@mount'])
    for (const name of groupMembers('@mount')!) {
      if (systemCalls('x86-64').has(name)) expect(verdict(name), name).toBe(EPERM)
    }
  })

  test('a denied call leaves its group alone', () => {
    const verdict = with_([], ['mount'])
    expect(verdict('mount')).toBe(EPERM)
    expect(verdict('umount2')).toBe('allow')
  })

  test('a denied group does not take away what another group allows', () => {
    const verdict = with_([], ['@file-system'])
    expect(verdict('close')).toBe('allow')
    expect(verdict('openat')).toBe(EPERM)
  })

  test('a call that is also an entry of its own goes with its name, not with the group', () => {
    expect(with_([], ['@default'])('brk')).toBe('allow')
    expect(with_([], ['@default'])('getpid')).toBe(EPERM)
    expect(with_([], ['brk'])('brk')).toBe(EPERM)
  })

  test('deny beats allow', () => {
    expect(with_(['keyctl'], ['keyctl'])('keyctl')).toBe(EPERM)
    expect(with_(['@keyring'], ['keyctl'])('keyctl')).toBe(EPERM)
    expect(with_(['@keyring'], ['keyctl'])('add_key')).toBe('allow')
  })

  test('names that mean nothing are ignored', () => {
    const verdict = with_(['no_such_call', '@no-such-group'], ['@neither', 'nor_this'])
    for (const [name] of systemCalls('x86-64')) expect(verdict(name), name).toBe(usual(name))
  })

  test('a denied socket call still tells audit that there is no audit', () => {
    const verdict = with_([], ['socket'])
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
