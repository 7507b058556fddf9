/** Real systems, booted to a login prompt and used from there as a person would. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ConsoleSession } from '../../fixtures/console-session.ts'
import { debianBootTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'

let tree = ''
const machine = `boot-${process.pid}`
const boot = (...args: string[]) =>
  new ConsoleSession(tsnspawn('-D', tree, '-M', machine, '-b', '--register=no', ...args))

/** What an init makes for itself, where the host has its own: nothing of that may be a container's. */
const initGroups = () =>
  ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'].flatMap((group) =>
    existsSync(group)
      ? readdirSync(group).filter((name) => /^(init\.scope|\w+\.slice)$/.test(name))
      : [],
  )

describe.skipIf(
  lacks('root', 'overlay', 'user namespaces', 'program:mmdebstrap', 'program:script'),
)('a booted Debian', () => {
  let before = new Set<string>()
  let groups: string[] = []
  const scope = () => ({ directories: [dirname(tree)], machines: [machine, basename(tree)] })
  beforeAll(async () => {
    tree = await debianBootTree()
  })
  beforeEach(async () => {
    before = await leftOvers(scope())
    groups = initGroups()
  })
  /** What a run left over, and what its init did outside of its own group. */
  const leftBehind = async () => {
    // The pristine tree lies where other test runs have theirs.
    const left = await newLeftOvers(before, scope())
    const ours = (line: string) => line.includes(machine) || line.includes(basename(tree))
    return [...left.filter(ours), ...initGroups().filter((name) => !groups.includes(name))]
  }

  test('runs without a failed unit, reboots on the same copy, and ends with its own status', async () => {
    await using session = boot('-x')
    await session.logIn()
    expect(await session.run('systemctl is-system-running --wait')).toEqual(['running'])
    expect(await session.run('systemctl list-units --failed --no-legend')).toEqual([])
    expect(await session.run('systemd-detect-virt; tty')).toEqual([
      ...['systemd-nspawn', '/dev/pts/0'],
    ])
    const ids = 'cat /proc/sys/kernel/random/boot_id /etc/machine-id'
    const [firstBoot, firstId] = await session.run(ids)
    const [hostBoot] = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').split('\n')
    await session.run('touch /root/kept /tmp/forgotten')
    session.type('reboot\r')
    await session.sees(new RegExp(`Container ${machine} is being rebooted\\.`))
    await session.logIn()
    const [secondBoot, secondId] = await session.run(ids)
    expect(new Set([firstBoot, secondBoot, hostBoot]).size).toBe(3)
    expect(secondId).toBe(firstId)
    expect(await session.run('ls /root /tmp/forgotten 2>/dev/null')).toContain('kept')
    expect(await session.run('ls /tmp/forgotten 2>/dev/null')).toEqual([])
    session.type('systemctl exit 7\r')
    const { status, shown } = await session.ended()
    expect(shown).toContain(`Container ${machine} failed with error code 7.`)
    expect(status).toBe(7)
    expect(await leftBehind()).toEqual([])
  })

  test('owns its control groups and users with -U, and powers off with status 0', async () => {
    await using session = boot('-x', '-U')
    await session.logIn()
    expect(await session.run('systemctl is-system-running --wait')).toEqual(['running'])
    const [map = ''] = await session.run('cat /proc/self/uid_map')
    expect(Number(map.trim().split(/\s+/)[1])).toBeGreaterThanOrEqual(65536)
    expect(await session.run('systemctl show -P ControlGroup dbus.service')).toEqual([
      '/system.slice/dbus.service',
    ])
    session.type('poweroff\r')
    const { status, shown } = await session.ended()
    expect(shown).toContain(`Container ${machine} has been shut down.`)
    expect(status).toBe(0)
    expect(await leftBehind()).toEqual([])
  })

  test.each(['state', 'overlay'])('forgets its changes with --volatile=%s', async (mode) => {
    await using session = boot(`--volatile=${mode}`)
    await session.logIn()
    expect(await session.run('touch /var/forgotten && echo made')).toEqual(['made'])
    expect(await session.run('findmnt -no FSTYPE -T /var/forgotten')).toEqual([
      mode === 'state' ? 'tmpfs' : 'overlay',
    ])
    session.type('halt\r')
    expect((await session.ended()).status).toBe(0)
    expect(await leftBehind()).toEqual([])
    expect(readdirSync(`${tree}/var`)).not.toContain('forgotten')
  })

  test('is killed by three times ^], with status 1', async () => {
    await using session = boot('-x')
    await session.sees(/ login: $/)
    session.type('\u001d\u001d\u001d')
    const { status, shown } = await session.ended()
    expect(shown).toContain('terminated by signal KILL')
    expect(status).toBe(1)
    expect(await leftBehind()).toEqual([])
  })

  test('leaves a reboot to the service manager with --keep-unit, and its groups alone', async () => {
    await using session = boot('-x', '--keep-unit')
    await session.logIn()
    session.type('systemctl reboot\r')
    const { status, shown } = await session.ended()
    expect(shown).toContain('is being rebooted')
    expect(status).toBe(133)
    expect(await leftBehind()).toEqual([])
  })

  test.each(['SIGTERM', 'SIGHUP'] as const)(
    'shuts down in good order on %s, even one that comes before its init is ready',
    async (signal) => {
      const [program, ...args] = tsnspawn('-D', tree, '-xb', '--register=no', '-M', machine)
      const child = execa(program, args, { reject: false, stdin: 'ignore', all: true })
      await new Promise((resolve) => child.stderr.once('data', resolve))
      child.kill(signal)
      const { exitCode, all } = await child
      expect(all).toContain('Trying to halt container.')
      expect(all).toMatch(/System halted|Halting system/)
      expect(exitCode).toBe(0)
      expect(await leftBehind()).toEqual([])
    },
  )

  test('passes the words behind the options to its init', async () => {
    await using session = boot('-x', '--', '--unit=basic.target', '--show-status=0')
    await session.sees(/Reached target basic\.target|Basic System/, 3000).catch(() => '')
    session.signal('SIGTERM')
    const { status, shown } = await session.ended()
    expect(shown).not.toContain('Login Prompts')
    expect(status).toBe(0)
    expect(await leftBehind()).toEqual([])
  })

  describe.each(['trixie', 'testing', 'unstable'])('of %s', (suite) => {
    beforeAll(async () => {
      tree = await debianBootTree(suite)
    })

    test.each([[[]], [['-U']]])('boots to a shell and powers off with %j', async (args) => {
      await using session = boot('-x', ...args)
      await session.logIn()
      expect(await session.run('systemctl is-system-running --wait')).toEqual(['running'])
      session.type('poweroff\r')
      expect((await session.ended()).status).toBe(0)
      expect(await leftBehind()).toEqual([])
    })
  })
})
