import { describe, expect, test } from 'vitest'
import { parseCommandLine } from '../../fixtures/command-line.ts'
import { readEnvironment } from '../../../src/settings/environment.ts'
import { variables } from '../../../src/settings/options-page.ts'
import { defaultSettings, type Tuning } from '../../../src/settings/settings.ts'

const { tuning: defaults } = defaultSettings()

test('an environment without such variables changes nothing', () => {
  expect(readEnvironment({ PATH: '/bin' })).toEqual({
    tuning: defaults,
    suppressSync: false,
    events: [],
  })
})

test.each<[Record<string, string>, Partial<Tuning>]>([
  [{ SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'yes' }, { apiVfs: 'writable' }],
  [{ SYSTEMD_NSPAWN_API_VFS_WRITABLE: '0' }, { apiVfs: 'read-only' }],
  [{ SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network' }, { apiVfs: 'network-writable' }],
  [{ SYSTEMD_NSPAWN_SHARE_NS_IPC: '1' }, { shared: ['ipc'] }],
  [
    { SYSTEMD_NSPAWN_SHARE_NS_PID: '1', SYSTEMD_NSPAWN_SHARE_NS_UTS: '1' },
    { shared: ['pid', 'uts'] },
  ],
  [{ SYSTEMD_NSPAWN_SHARE_SYSTEM: '1' }, { shared: ['ipc', 'pid', 'uts'] }],
  [{ SYSTEMD_NSPAWN_SHARE_NS_PID: '1', SYSTEMD_NSPAWN_SHARE_SYSTEM: '0' }, { shared: [] }],
  [{ SYSTEMD_NSPAWN_TMPFS_TMP: '0' }, { tmpfsOnTmp: false }],
  [{ SYSTEMD_NSPAWN_USE_CGNS: 'off' }, { cgroupNamespace: false }],
  [{ SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' }, { unifiedCgroup: true }],
  [{ UNIFIED_CGROUP_HIERARCHY: '0' }, { unifiedCgroup: false }],
  [
    { UNIFIED_CGROUP_HIERARCHY: '0', SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
    { unifiedCgroup: true },
  ],
  [{ SYSTEMD_NSPAWN_CONTAINER_SERVICE: 'mine' }, { containerService: 'mine' }],
  [{ SYSTEMD_NSPAWN_CONTAINER_SERVICE: '' }, { containerService: 'systemd-nspawn' }],
  [{ SYSTEMD_NSPAWN_LOCK: '0' }, { lockImages: false }],
  [{ SYSTEMD_NSPAWN_CHECK_OS_RELEASE: '0' }, { checkOsTree: false }],
  [{ SYSTEMD_SECCOMP: '0' }, { seccomp: 'off' }],
  [{ SYSTEMD_LOG_SECCOMP: '1' }, { seccomp: 'log' }],
  [{ SYSTEMD_LOG_SECCOMP: '1', SYSTEMD_SECCOMP: '0' }, { seccomp: 'off' }],
])('%j', (env, changes) => {
  expect(readEnvironment(env).tuning).toEqual({ ...defaults, ...changes })
})

describe('a value that is no boolean', () => {
  test.each([
    'SYSTEMD_NSPAWN_API_VFS_WRITABLE',
    'SYSTEMD_NSPAWN_SHARE_NS_IPC',
    'SYSTEMD_NSPAWN_SHARE_NS_PID',
    'SYSTEMD_NSPAWN_SHARE_NS_UTS',
    'SYSTEMD_NSPAWN_SHARE_SYSTEM',
    'SYSTEMD_NSPAWN_TMPFS_TMP',
    'SYSTEMD_NSPAWN_USE_CGNS',
    'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY',
    'UNIFIED_CGROUP_HIERARCHY',
  ])('is an error in $%s, as for systemd-nspawn', (name) => {
    expect(() => readEnvironment({ [name]: '' })).toThrow(
      `cannot read $${name}: "" is neither yes nor no`,
    )
  })
  test.each([
    'SYSTEMD_NSPAWN_LOCK',
    'SYSTEMD_NSPAWN_CHECK_OS_RELEASE',
    'SYSTEMD_SUPPRESS_SYNC',
    'SYSTEMD_SECCOMP',
    'SYSTEMD_LOG_SECCOMP',
  ])('is passed over in $%s, with a warning', (name) => {
    const { tuning, suppressSync, events } = readEnvironment({ [name]: 'perhaps' })
    expect({ tuning, suppressSync }).toEqual({ tuning: defaults, suppressSync: false })
    expect(events).toEqual([
      { kind: 'warning', text: `ignoring $${name}: "perhaps" is neither yes nor no` },
    ])
  })
})

test('the option for sync calls beats the variable', () => {
  const env = { SYSTEMD_SUPPRESS_SYNC: '1' }
  const suppressed = (argv: string[]) => {
    const result = parseCommandLine(argv, { cwd: '/x', env, version: '0' })
    return result.kind === 'run' && result.settings.suppressSync
  }
  expect(suppressed([])).toBe(true)
  expect(suppressed(['--suppress-sync=no'])).toBe(false)
})

test('every documented variable changes something', () => {
  for (const [name] of variables) {
    const results = ['0', '1', 'debug'].map((value) => {
      try {
        return JSON.stringify(
          parseCommandLine([], { cwd: '/x', env: { [name]: value }, version: '0' }),
        )
      } catch {
        return 'refused'
      }
    })
    expect(new Set(results).size, name).toBeGreaterThan(1)
  }
})
