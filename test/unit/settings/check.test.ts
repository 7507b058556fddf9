import { describe, expect, test } from 'vitest'
import { parseCommandLine } from '../../fixtures/command-line.ts'
import type { Settings } from '../../../src/settings/settings.ts'

function run(argv: string, env: Record<string, string> = {}, cwd = '/home/me') {
  const result = parseCommandLine(argv.split(' '), { cwd, env, version: '0' })
  if (result.kind !== 'run') throw new Error('printed something')
  return result
}

describe('the root directory', () => {
  const tree = (path: string) => ({ kind: 'directory', path })
  test.each<[string, Partial<Settings>]>([
    ['-D /t', { root: { kind: 'directory', path: '/t' }, template: undefined }],
    ['--template=/tpl -D /t', { root: { kind: 'directory', path: '/t' }, template: '/tpl' }],
    ['--template=/tpl -M m', { root: { kind: 'machine', name: 'm' }, template: '/tpl' }],
    ['-x -M m', { root: { kind: 'machine', name: 'm' }, ephemeral: true }],
    ['-q', { root: { kind: 'current-directory' } }],
  ])('%s', (argv, settings) => {
    expect(run(argv).settings).toMatchObject(settings)
  })
  test('a throw-away copy of a template needs no other directory', () => {
    const { settings } = run('-x --template=/tpl -M m')
    expect(settings).toMatchObject({ root: tree('/tpl'), template: undefined, ephemeral: true })
  })
  test.each(['-D /', '-D //.', '-D / --volatile=overlay', '-D / --read-only'])(
    '%s is refused',
    (argv) => {
      expect(() => run(argv)).toThrow('running a container on the root directory is not supported')
    },
  )
  test('the root directory as the current one is refused too', () => {
    expect(() => run('-q', {}, '/')).toThrow('the root directory is not supported')
    expect(run('-M m', {}, '/').settings.root).toEqual({ kind: 'machine', name: 'm' })
  })
  test.each(['-D / -x', '-D / --volatile=yes', '-D / --volatile=state'])('%s spares it', (argv) => {
    expect(run(argv).settings.root).toEqual(tree('/'))
  })
})

const writable = { SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1' }
const network = { SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network' }

test.each<[string, Record<string, string>, string]>([
  ['--template=/t', {}, '--template= needs --directory= or --machine='],
  ['-x --template=/t -D /d', {}, '--ephemeral and --template= may not be combined'],
  [
    '--private-users-ownership=chown --read-only',
    {},
    '--read-only and --private-users-ownership=chown may not be combined',
  ],
  [
    '-U --private-users-ownership=chown --volatile',
    {},
    '--volatile= and --private-users-ownership=chown may not be combined',
  ],
  ['-U', writable, 'cannot combine --private-users with read-write API file systems'],
  [
    '--private-users=identity',
    network,
    'invalid namespacing settings: mounting sysfs with --private-users requires --private-network',
  ],
  [
    '-U --bind=/a:/',
    {},
    '--private-users-ownership=auto may not be combined with custom root mounts',
  ],
  [
    '--private-users=65536 --private-users-ownership=map --bind=/a:/',
    {},
    '--private-users-ownership=map may not be combined with custom root mounts',
  ],
  [
    '--private-users=yes --overlay=/a:/b:/',
    {},
    '--private-users with automatic UID shift may not be combined with custom root mounts',
  ],
  [
    '--private-users=pick --private-users-ownership=off --bind=/a:/',
    {},
    '--private-users with automatic UID shift may not be combined with custom root mounts',
  ],
  ['--share-system -b', {}, '--boot cannot be used without PID and UTS namespaces'],
  [
    '-b -D /t --ambient-capability=CAP_CHOWN',
    {},
    '--ambient-capability= is not useful with --boot',
  ],
  ['-x --link-journal=host', {}, '--ephemeral and --link-journal=host may not be combined'],
  ['-x --link-journal=guest', {}, '--ephemeral and --link-journal=guest may not be combined'],
  ['--cleanup', {}, '--cleanup needs --directory=, --image=, --machine= or --oci-bundle='],
  ['--cleanup -x -D /t', {}, '--cleanup and --ephemeral may not be combined'],
  [
    '--network-bridge=a --network-zone=b',
    {},
    '--network-bridge= and --network-zone= may not be combined',
  ],
  [
    '-n --network-namespace-path=/n',
    {},
    '--network-namespace-path= cannot be combined with other network options',
  ],
  ['-p 80', {}, 'cannot use --port= without private networking'],
  [
    '--private-network --network-setup=auto',
    {},
    '--network-setup=auto needs a virtual cable to the host',
  ],
  ['-D /t -i /t.raw', {}, '--directory= and --image= may not be combined'],
  ['--template=/t -i /t.raw', {}, '--template= and --image= may not be combined'],
  ['--share-system -a', {}, '--as-pid2 cannot be used without PID and UTS namespaces'],
  [
    '-a',
    { SYSTEMD_NSPAWN_SHARE_NS_UTS: '1' },
    '--as-pid2 cannot be used without PID and UTS namespaces',
  ],
  [
    '--ambient-capability=CAP_NET_ADMIN',
    {},
    'ambient capabilities that the container does not keep: CAP_NET_ADMIN',
  ],
  [
    '--ambient-capability=CAP_CHOWN --drop-capability=CAP_CHOWN',
    {},
    'ambient capabilities that the container does not keep: CAP_CHOWN',
  ],
  [
    '--private-network --drop-capability=CAP_NET_ADMIN --ambient-capability=CAP_NET_ADMIN',
    {},
    'ambient capabilities that the container does not keep: CAP_NET_ADMIN',
  ],
])('%s %j is refused, as by systemd-nspawn', (argv, env, message) => {
  expect(() => run(argv, env)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

test.each<[string, Record<string, string>]>([
  ['-U --private-network', network],
  ['-q', writable],
  ['-q', network],
  ['--private-users=65536 --bind=/a:/', {}],
  ['--private-users=identity --bind=/a:/', {}],
  ['--private-users=pick --read-only', {}],
  ['--private-users=pick --volatile', {}],
  ['-x --link-journal=try-host', {}],
  ['--cleanup -D /t', {}],
  ['--cleanup -i /t.raw', {}],
  ['--private-network -p 80', {}],
  ['--private-network --network-namespace-path=/n', {}],
  ['--private-network --ambient-capability=CAP_NET_ADMIN', {}],
  ['--capability=CAP_SYSLOG --ambient-capability=CAP_SYSLOG', {}],
  ['--ambient-capability=CAP_CHOWN', {}],
  ['-a', { SYSTEMD_NSPAWN_SHARE_NS_IPC: '1' }],
])('%s %j goes together', (argv, env) => {
  expect(run(argv, env).kind).toBe('run')
})

test('a custom mount on the root directory makes the tree below it read-only', () => {
  expect(run('--bind=/a:/').settings.access).toBe('read-only')
  expect(run('--bind=/a:/b').settings.access).toBe('read-write')
})

test('without a PID or UTS namespace nothing is registered', () => {
  expect(run('-q', { SYSTEMD_NSPAWN_SHARE_NS_PID: '1' }).settings.register).toBe('no')
  expect(run('-q', { SYSTEMD_NSPAWN_SHARE_NS_UTS: '1' }).settings.register).toBe('no')
  expect(run('-q', { SYSTEMD_NSPAWN_SHARE_NS_IPC: '1' }).settings.register).toBe('auto')
})

test('--share-system still works, and says what to use instead', () => {
  const { settings, events } = run('--share-system')
  expect(settings.tuning.shared).toEqual(['ipc', 'pid', 'uts'])
  expect(settings.register).toBe('no')
  expect(events).toEqual([
    expect.objectContaining({ kind: 'warning', text: '--share-system is obsolete' }),
  ])
})

test.each(['--slice=a --keep-unit', '--property=A=1 --register=no --keep-unit'])(
  '%s gives a notice that there is no scope',
  (argv) => {
    expect(run(argv).events).toEqual([
      {
        kind: 'notice',
        text: '--slice= and --property= have no effect with --keep-unit: no scope unit is made',
      },
    ])
  },
)

test('a slice that had to be escaped is named as it will be', () => {
  expect(run('--slice=a/b').events).toEqual([
    { kind: 'notice', text: 'slice "a/b" is named a-b.slice' },
  ])
})

test('a slice without --keep-unit, and no slice at all, give no notice', () => {
  expect(run('--slice=a').events).toEqual([])
  expect(run('--slice=a --register=no').events).toEqual([])
  expect(run('--keep-unit').events).toEqual([])
})

test('one command line leaves nothing behind for the next', () => {
  const before = JSON.stringify(run('-q'))
  run('-x --template=/t -E A=b --bind=/a --capability=CAP_SYSLOG --rlimit=CPU=1 --share-system')
  expect(JSON.stringify(run('-q'))).toBe(before)
})
