import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { capabilityMask, type CapabilityMask } from '../../src/plan/capabilities.ts'
import { defaultCapabilities } from '../../src/settings/values/capability.ts'
import { abiOfNode, abisOf, AUDIT_ARCH, systemCalls, X32_BIT } from '../../src/plan/seccomp/abi.ts'
import { assembleSeccomp, type SeccompRequest } from '../../src/plan/seccomp/assemble.ts'
import { seemsMissing } from '../../src/plan/seccomp/policy.ts'
import { allProcesses } from '../fixtures/processes.ts'
import { lacks } from '../fixtures/requires.ts'
import { runPrograms } from '../unit/plan/seccomp/bpf-interpreter.ts'
import { dumpPrograms } from './seccomp-dump.ts'

const architecture = abiOfNode(process.arch)!
const tree = mkdtempSync(join(tmpdir(), 'seccomp-tree-'))
mkdirSync(join(tree, 'usr'))
for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(tree, name))
afterAll(() => rmSync(tree, { recursive: true }))

/** The programs that systemd-nspawn loads for a payload. It fails to start now and then, unlike what is compared. */
async function systemdPrograms(options: readonly string[]): Promise<readonly string[]> {
  const failures: string[] = []
  while (failures.length < 3) {
    const found = await programsOfOneRun(options)
    if (typeof found !== 'string') return found
    failures.push(found)
  }
  throw new Error(failures.join('\n'))
}

/** What a running payload is held to; or all that systemd-nspawn said when it ended without one. */
async function programsOfOneRun(options: readonly string[]): Promise<readonly string[] | string> {
  const token = `probe-${process.pid}-${Math.random()}`
  // Where /run is no tmpfs, systemd-nspawn leaves a directory there.
  const nspawn = spawn(
    'unshare',
    [
      '-m',
      'sh',
      '-c',
      'mount -t tmpfs tmpfs /run && exec systemd-nspawn "$@"',
      'sh',
      '--register=no',
      '--keep-unit',
      '-q',
      '-P',
      `--directory=${tree}`,
      '--bind-ro=/usr',
      ...options,
      '/bin/sh',
      '-c',
      'read line',
      token,
    ],
    { stdio: ['pipe', 'ignore', 'pipe'] },
  )
  let said = ''
  nspawn.stderr.on('data', (data: Buffer) => (said += data))
  const ended = new Promise((resolve) => nspawn.on('close', resolve))
  try {
    for (;;) {
      const command = `/bin/sh -c read line ${token}`
      const payload = allProcesses().find((seen) => seen.command === command)
      if (payload !== undefined) return dumpPrograms(payload.pid)
      if (nspawn.exitCode !== null) break
      await sleep(20)
    }
  } finally {
    nspawn.stdin.end('\n')
    await ended
  }
  return `status ${nspawn.exitCode}: ${said}`
}

/** Calls that we allow and systemd 252 does not; docs/seccomp.md says why. */
const ALLOWED_LATER = new Set(
  `uretprobe uprobe cachestat map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
  lsm_get_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr
  file_getattr file_setattr rseq_slice_yield
  landlock_create_ruleset landlock_add_rule landlock_restrict_self`.split(/\s+/),
)

const O_DSYNC = 0o10000n
const O_SYNC = 0o4010000n
const ARGUMENTS = [
  [],
  [16n, 3n, 9n],
  [16n, 3n, 0n],
  [2n, 3n, 9n],
  [0n, O_DSYNC],
  [0n, O_SYNC],
  [0n, 0n, O_DSYNC],
  [0n, 0n, O_SYNC],
]

/** Every call, by every ABI, that systemd-nspawn answers in another way, as `abi call: theirs, ours`. */
async function differences(
  options: readonly string[],
  changes: Partial<SeccompRequest>,
): Promise<readonly string[]> {
  const theirs = await systemdPrograms(options)
  expect(theirs.length).toBeGreaterThan(2)
  const ours = assembleSeccomp({
    architecture,
    capabilities: capabilityMask(defaultCapabilities()),
    filter: { allow: [], deny: [] },
    suppressSync: false,
    mode: 'on',
    ...changes,
  }).map((program) => program.instructions)

  const found = new Set<string>()
  for (const abi of abisOf(architecture)) {
    const names = new Map([...systemCalls(abi)].map(([name, number]) => [number, name]))
    for (let number = 0; number < 600; number++) {
      const name = names.get(number) ?? String(number)
      // Later versions of systemd know the second kind, and refuse them with EPERM.
      if (ALLOWED_LATER.has(name) || seemsMissing(name)) continue
      for (const args of ARGUMENTS) {
        const nr = abi === 'x32' ? number + X32_BIT : number
        const call = { arch: AUDIT_ARCH[abi], nr, args }
        const [their, our] = [runPrograms(theirs, call), runPrograms(ours, call)]
        if (their !== our) found.add(`${abi} ${name}: ${their}, ${our}`)
      }
    }
  }
  return [...found]
}

/** libseccomp cannot express the rule for 32-bit x86, where sockets have a second way in. */
const X86_AUDIT = ['x86 socket: allow, errno 97']

function withCapabilities(names: readonly string[]): { capabilities: CapabilityMask } {
  return { capabilities: capabilityMask([...defaultCapabilities(), ...names]) }
}

const unfit = lacks('root', 'program:systemd-nspawn') || architecture !== 'x86-64'

describe.skipIf(unfit)('every call is answered as systemd-nspawn does', () => {
  test('by default', async () => {
    expect(await differences([], {})).toEqual(X86_AUDIT)
  })

  test('with --suppress-sync', async () => {
    expect(await differences(['--suppress-sync=yes'], { suppressSync: true })).toEqual(X86_AUDIT)
  })

  test('with more and with fewer capabilities', async () => {
    const more = ['CAP_SYS_TIME', 'CAP_SYS_MODULE', 'CAP_IPC_LOCK', 'CAP_SYSLOG', 'CAP_SYS_RAWIO']
    expect(await differences([`--capability=${more.join()}`], withCapabilities(more))).toEqual(
      X86_AUDIT,
    )
    const fewer = defaultCapabilities().filter((name) => !/PTRACE|BOOT|TTY/.test(name))
    expect(
      await differences(['--drop-capability=CAP_SYS_PTRACE,CAP_SYS_BOOT,CAP_SYS_TTY_CONFIG'], {
        capabilities: capabilityMask(fewer),
      }),
    ).toEqual(X86_AUDIT)
  })

  test.each([
    ['~@mount', { allow: [], deny: ['@mount'] }],
    ['~mount keyctl', { allow: [], deny: ['mount', 'keyctl'] }],
    ['@keyring bpf', { allow: ['@keyring', 'bpf'], deny: [] }],
    ['~@aio @timer @chown kcmp', { allow: [], deny: ['@aio', '@timer', '@chown', 'kcmp'] }],
    ['no_such_call @no-such-group', { allow: ['no_such_call', '@no-such-group'], deny: [] }],
  ])('with --system-call-filter=%s', async (option, filter) => {
    expect(await differences([`--system-call-filter=${option}`], { filter })).toEqual(X86_AUDIT)
  })

  test('with a list of additions and one of refusals', async () => {
    const options = [
      '--system-call-filter=@keyring',
      '--system-call-filter=~keyctl @io-event @chown',
    ]
    const filter = { allow: ['@keyring'], deny: ['keyctl', '@io-event', '@chown'] }
    expect(await differences(options, { filter })).toEqual(X86_AUDIT)
  })
})
