import { describe, expect, test } from 'vitest'
import { describeError, NspawnError } from '../../../../src/errors.ts'
import { readCommandLine } from '../../../../src/settings/argv.ts'
import { parseBundle } from '../../../../src/settings/oci/bundle.ts'

const invocation = { cwd: '/here', env: {}, version: '1' }

/** What `runc spec` and `crun spec` write, in short. */
const usual = {
  ociVersion: '1.0.2',
  process: {
    terminal: true,
    user: { uid: 0, gid: 0 },
    args: ['sh'],
    env: ['PATH=/bin', 'EMPTY='],
    cwd: '/',
  },
  root: { path: 'rootfs' },
  linux: {
    namespaces: [
      { type: 'pid' },
      { type: 'network' },
      { type: 'ipc' },
      { type: 'uts' },
      { type: 'mount' },
    ],
  },
}

const bytesOf = (config: unknown) => Buffer.from(JSON.stringify(config))
const parse = (config: unknown) =>
  parseBundle({ directory: '/b/web', path: '/b/web/config.json', bytes: bytesOf(config) })

/** Settings of `--oci-bundle=/b/web` with more options. */
function settingsOf(config: unknown, ...argv: string[]) {
  const line = readCommandLine(['--oci-bundle=/b/web', ...argv], invocation)
  if (line.kind === 'text') throw new Error('only a text')
  return line.settle(parse(config)).settings
}

function failure(config: unknown, ...argv: string[]): NspawnError {
  try {
    settingsOf(config, ...argv)
  } catch (error) {
    if (error instanceof NspawnError) return error
    throw error
  }
  throw new Error('it was taken')
}

const withProcess = (part: object) => ({ ...usual, process: { ...usual.process, ...part } })
const withLinux = (part: object) => ({ ...usual, linux: { ...usual.linux, ...part } })
const withNamespaces = (...types: string[]) =>
  withLinux({ namespaces: types.map((type) => ({ type })) })

describe('a bundle', () => {
  test('is a tree, a command, an environment and namespaces', () => {
    expect(settingsOf(usual)).toMatchObject({
      root: { kind: 'directory', path: '/b/web/rootfs' },
      machine: 'web',
      command: ['sh'],
      startMode: 'command',
      workingDirectory: '/',
      environment: [
        { name: 'PATH', value: '/bin' },
        { name: 'EMPTY', value: '' },
      ],
      console: undefined,
      privateNetwork: true,
      resolvConf: 'off',
      timezone: 'off',
      linkJournal: 'no',
      access: 'read-write',
      tuning: { shared: [], cgroupNamespace: false, checkOsTree: false },
      bundle: { path: '/b/web', version: '1.0.2', user: { uid: 0, gid: 0, groups: [] } },
    })
  })

  test('has no console unless it says so', () => {
    const { terminal: _, ...rest } = usual.process
    expect(settingsOf({ ...usual, process: rest }).console).toBe('pipe')
    expect(settingsOf(withProcess({ terminal: false })).console).toBe('pipe')
  })

  test('shares the namespaces that it does not list', () => {
    expect(settingsOf(withNamespaces('mount', 'pid'))).toMatchObject({
      privateNetwork: false,
      tuning: { shared: ['ipc', 'uts'] },
    })
    expect(settingsOf(withNamespaces('mount', 'cgroup', 'pid', 'ipc', 'uts')).tuning).toMatchObject(
      {
        shared: [],
        cgroupNamespace: true,
      },
    )
    const { linux: _, ...unlisted } = usual
    expect(settingsOf(unlisted)).toMatchObject({
      privateNetwork: false,
      tuning: { shared: [], cgroupNamespace: true },
    })
  })

  test('joins a network, and maps a range of users', () => {
    const namespaces = [
      { type: 'mount' },
      { type: 'user' },
      { type: 'network', path: '/run/netns/a' },
    ]
    const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }]
    expect(
      settingsOf(withLinux({ namespaces, uidMappings: mapping, gidMappings: mapping })),
    ).toMatchObject({
      network: { namespacePath: '/run/netns/a' },
      privateUsers: { mode: 'range', base: 100000, length: 65536 },
      ownership: 'off',
    })
  })

  test('passes mounts over that every container has, and sorts the others by what they are', () => {
    const mounts = [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup' },
      {
        destination: '/dev/shm',
        type: 'tmpfs',
        source: 'shm',
        options: ['nosuid', 'mode=1777', 'size=64k'],
      },
      { destination: '/data/', source: 'data', options: ['rbind', 'rw', 'rprivate', 'nodev'] },
      { destination: '/one', type: 'none', source: '/srv', options: ['bind', 'ro'] },
    ]
    expect(settingsOf({ ...usual, mounts }).mounts).toEqual([
      {
        kind: 'file-system',
        fstype: 'tmpfs',
        source: 'shm',
        destination: '/dev/shm',
        flags: ['nosuid'],
        options: 'mode=1777,size=64k',
      },
      {
        kind: 'bind',
        source: { kind: 'host', path: '/b/web/data' },
        destination: '/data',
        access: 'read-write',
        recursive: true,
        idMap: 'noidmap',
        attributes: ['nodev'],
        propagation: 'private',
      },
      {
        kind: 'bind',
        source: { kind: 'host', path: '/srv' },
        destination: '/one',
        access: 'read-only',
        recursive: false,
        idMap: 'noidmap',
        attributes: ['ro'],
      },
    ])
  })

  test('limits memory, tasks, processors, devices', () => {
    const resources = {
      devices: [
        { allow: false, access: 'rwm' },
        { allow: true, type: 'c', major: 10, minor: -1, access: 'r' },
      ],
      memory: { limit: 1000, swap: 1500, reservation: -1 },
      cpu: { quota: 150_000, period: 100_000, shares: 512, cpus: '0-1,3' },
      pids: { limit: 20 },
      blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 9 }] },
    }
    const settings = settingsOf(withLinux({ resources }))
    expect(settings.cpuAffinity).toEqual([0, 1, 3])
    expect(settings.resourceControl).toEqual({
      memoryBytes: 1000,
      swapBytes: 500,
      cpus: 1.5,
      cpuShares: 512,
      tasks: 20,
      ioLimits: [{ device: { major: 8, minor: 0 }, what: 'read-bytes', perSecond: 9 }],
      devices: [{ type: 'character', major: 10, minor: 'any', access: 'r' }],
    })
  })

  test('keeps of the ambient capabilities what the kernel can give', () => {
    const all = ['CAP_KILL', 'CAP_CHOWN']
    const capabilities = { bounding: all, permitted: all, inheritable: ['CAP_KILL'], ambient: all }
    expect(settingsOf(withProcess({ capabilities })).bundle?.capabilities).toEqual({
      bounding: all,
      effective: [],
      permitted: all,
      inheritable: ['CAP_KILL'],
      ambient: ['CAP_KILL'],
    })
    const { events } = parse(withProcess({ capabilities, user: { uid: 1, gid: 1 } }))
    expect(events).toEqual([
      {
        kind: 'warning',
        text: '/b/web/config.json: process.capabilities.ambient: not permitted and inheritable: CAP_CHOWN',
      },
    ])
  })

  test.each([
    [['-E', 'A=b'], { environment: [{ name: 'A', value: 'b' }] }],
    [['--', 'ls', '-l'], { command: ['ls', '-l'] }],
    [['-D', '/t'], { root: { kind: 'directory', path: '/t' } }],
    [['-M', 'mine'], { machine: 'mine' }],
    [['--read-only'], { access: 'read-only' }],
    [['--chdir=/tmp'], { workingDirectory: '/tmp' }],
    [['--resolv-conf=auto'], { resolvConf: 'auto' }],
    [['--console=pipe'], { console: 'pipe' }],
    [['-b'], { startMode: 'boot', command: [] }],
  ])('gives way to %j', (argv, expected) => {
    const config = withProcess({ capabilities: { bounding: [] }, cwd: '/var' })
    expect(settingsOf({ ...config, root: { path: 'r', readonly: false } }, ...argv)).toMatchObject(
      expected,
    )
  })

  test('gives way where only a bundle could say it so exactly', () => {
    const config = withProcess({ capabilities: { bounding: [] } })
    const { user, bundle } = settingsOf(config, '-u', 'me', '--capability=CAP_NET_ADMIN')
    expect(user).toBe('me')
    expect(bundle).not.toHaveProperty('user')
    expect(bundle).not.toHaveProperty('capabilities')
  })
})

describe('refused with its field:', () => {
  test.each<[string, unknown, string]>([
    ['no version', { root: { path: 'r' } }, 'ociVersion: it is missing'],
    ['another version', { ...usual, ociVersion: '2.0.0' }, 'ociVersion: only version 1'],
    ['no root', { ociVersion: '1.0.0' }, 'root: it is missing'],
    [
      'a slip',
      { ...usual, hostnme: 'a' },
      'hostnme: there is no such field\ndid you mean hostname?',
    ],
    [
      'a slip below',
      withProcess({ arg: ['a'] }),
      'process.arg: there is no such field\ndid you mean args?',
    ],
    ['another type', withProcess({ args: 'sh' }), 'process.args: '],
    ['no program', withProcess({ args: [] }), 'process.args: it names no program'],
    ['an empty program', withProcess({ args: [''] }), 'process.args[0]: it is empty'],
    ['a NUL', withProcess({ args: ['a\0b'] }), 'process.args[0]: it contains a NUL'],
    ['no assignment', withProcess({ env: ['A'] }), 'process.env[0]: it is not NAME=VALUE'],
    ['a relative directory', withProcess({ cwd: 'a' }), 'process.cwd: it is not an absolute path'],
    ['a directory of the kernel', withProcess({ cwd: '/proc/1' }), 'process.cwd: '],
    [
      'no capability',
      withProcess({ capabilities: { bounding: ['CAP_X'] } }),
      'process.capabilities.bounding[0]: there is no such capability',
    ],
    [
      'a limit twice',
      withProcess({
        rlimits: [
          { type: 'RLIMIT_CORE', soft: 1, hard: 1 },
          { type: 'RLIMIT_CORE', soft: 1, hard: 1 },
        ],
      }),
      'process.rlimits[1]: RLIMIT_CORE is there twice',
    ],
    [
      'a limit above itself',
      withProcess({ rlimits: [{ type: 'RLIMIT_CORE', soft: -1, hard: 1 }] }),
      'the soft limit is above the hard limit',
    ],
    [
      'half a size',
      withProcess({ consoleSize: { height: 1 } }),
      'process.consoleSize.width: it is missing',
    ],
    ['a host name', { ...usual, hostname: '-' }, 'hostname: invalid host name "-"'],
    [
      'a name without a namespace',
      { ...withNamespaces('mount'), hostname: 'a' },
      'hostname: it needs a uts namespace',
    ],
    [
      'a mount of the root',
      { ...usual, mounts: [{ destination: '/', source: '/x' }] },
      'mounts[0].destination: the root',
    ],
    [
      'a mount upwards',
      { ...usual, mounts: [{ destination: '/a/../b', source: '/x' }] },
      'mounts[0].destination: it has ".."',
    ],
    [
      'a mount on /dev',
      { ...usual, mounts: [{ destination: '/dev', source: '/dev', type: 'bind' }] },
      'every container has a /dev of its own',
    ],
    [
      'a bind of nothing',
      { ...usual, mounts: [{ destination: '/a', type: 'bind' }] },
      'mounts[0].source: it is missing',
    ],
    [
      'an option',
      { ...usual, mounts: [{ destination: '/a', source: '/', options: ['nosiud'] }] },
      'mounts[0].options[0]: the mount option "nosiud" is not supported\ndid you mean nosuid?',
    ],
    [
      'propagation to the host',
      { ...usual, mounts: [{ destination: '/a', type: 'tmpfs', options: ['rshared'] }] },
      'the mount option "rshared" is not supported',
    ],
    ['no mount namespace', withNamespaces('pid'), 'linux.namespaces: mount is missing'],
    [
      'a namespace twice',
      withNamespaces('mount', 'pid', 'pid'),
      'linux.namespaces[2]: pid is there twice',
    ],
    [
      'somebody’s namespace',
      withLinux({ namespaces: [{ type: 'mount' }, { type: 'ipc', path: '/proc/1/ns/ipc' }] }),
      'linux.namespaces[1].path: an existing ipc namespace cannot be joined',
    ],
    [
      'users without a mapping',
      withNamespaces('mount', 'user'),
      'linux.uidMappings: it is missing',
    ],
    [
      'a mapping without users',
      withLinux({ uidMappings: [{ containerID: 0, hostID: 1, size: 1 }] }),
      'linux.uidMappings: it needs a user namespace',
    ],
    [
      'a device elsewhere',
      withLinux({ devices: [{ type: 'c', path: '/etc/x', major: 1, minor: 1 }] }),
      'linux.devices[0].path: only nodes below /dev',
    ],
    [
      'a device upwards',
      withLinux({ devices: [{ type: 'c', path: '/dev/../x', major: 1, minor: 1 }] }),
      'linux.devices[0].path: only nodes below /dev',
    ],
    [
      'a device without number',
      withLinux({ devices: [{ type: 'c', path: '/dev/x' }] }),
      'linux.devices[0]: a device needs major and minor',
    ],
    [
      'a single device',
      withLinux({ resources: { devices: [{ allow: false, type: 'c', major: 1, minor: 3 }] } }),
      'linux.resources.devices[0]: single devices cannot be forbidden',
    ],
    [
      'swap without memory',
      withLinux({ resources: { memory: { swap: 1 } } }),
      'linux.resources.memory.swap: it needs a limit',
    ],
    ['no slice', withLinux({ cgroupsPath: '/a' }), 'linux.cgroupsPath: "/a" is no path of a slice'],
    [
      'a parameter of the host',
      withLinux({ sysctl: { 'kernel.panic': '1' } }),
      'linux.sysctl."kernel.panic": it is one of the whole host'.replaceAll('"', ''),
    ],
    [
      'a parameter in no namespace',
      {
        ...withNamespaces('mount'),
        linux: { namespaces: [{ type: 'mount' }], sysctl: { 'net.core.somaxconn': '1' } },
      },
      'it would change the host: there is no network namespace',
    ],
    [
      'a parameter upwards',
      withLinux({ sysctl: { 'net.../kernel': '1' } }),
      'it is no kernel parameter',
    ],
    [
      'propagation',
      withLinux({ rootfsPropagation: 'shared' }),
      'linux.rootfsPropagation: only private and rprivate',
    ],
    [
      'an action',
      withLinux({ seccomp: { defaultAction: 'SCMP_ACT_NOTIFY' } }),
      'linux.seccomp.defaultAction: only',
    ],
    [
      'a number that is not exact',
      withLinux({
        seccomp: {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [
            {
              names: ['a'],
              action: 'SCMP_ACT_LOG',
              args: [{ index: 0, value: 2 ** 60, op: 'SCMP_CMP_EQ' }],
            },
          ],
        },
      }),
      'args[0].value: it is not a whole number below 2⁵³',
    ],
  ])('%s', (_name, config, words) => {
    const error = failure(config)
    expect(`${error.message}\n${error.hint ?? ''}`).toContain(words)
    expect(error).toMatchObject({ code: 'BAD_BUNDLE' })
    expect(error.message).toMatch(/^\/b\/web\/config\.json: /)
  })

  test.each([
    [withProcess({ apparmorProfile: 'x' }), 'process.apparmorProfile'],
    [withLinux({ intelRdt: {} }), 'linux.intelRdt'],
    [{ ...usual, windows: {} }, 'windows'],
    [{ ...usual, hooks: { createContainer: [] } }, 'hooks.createContainer'],
    [{ ...usual, mounts: [{ destination: '/a', uidMappings: [] }] }, 'mounts[0].uidMappings'],
    [withLinux({ resources: { memory: { swappiness: 1 } } }), 'linux.resources.memory.swappiness'],
  ])('what is not supported: %#', (config, field) => {
    const error = failure(config)
    expect(error).toMatchObject({ code: 'NOT_SUPPORTED' })
    expect(error.message).toContain(`: ${field} is not supported: `)
  })

  test('no JSON', () => {
    const bytes = Buffer.from('{"a": ')
    expect(() => parseBundle({ directory: '/b', path: '/b/config.json', bytes })).toThrow(
      '/b/config.json is no JSON',
    )
    const latin = Buffer.from('{"a":"\xe9"}', 'latin1')
    expect(() => parseBundle({ directory: '/b', path: '/b/config.json', bytes: latin })).toThrow(
      'no JSON',
    )
  })

  test('a filter of the bundle beside --suppress-sync=', () => {
    const config = withLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } })
    expect(describeError(failure(config, '--suppress-sync=yes'))).toContain('--suppress-sync=')
  })
})
