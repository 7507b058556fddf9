/**
 * The same words before systemd-nspawn's reader and before ours. A tree that does not exist stops the
 * original right after it has read its command line, so nothing is started.
 */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { describeError } from '../../src/errors.ts'
import { parseCommandLine } from '../fixtures/command-line.ts'
import { options } from '../../src/settings/table.ts'
import { lacks } from '../fixtures/requires.ts'

const missing = '/nonexistent/tree'

type Verdict = 'accepted' | 'refused'

function original(words: readonly string[], env: Readonly<Record<string, string>>): Verdict {
  const argv = ['--register=no', '--keep-unit', '-D', missing, ...words]
  const { stderr, status } = spawnSync('systemd-nspawn', argv, {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(1)
  return stderr.includes(`Failed to resolve path ${missing}`) ? 'accepted' : 'refused'
}

function ours(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Verdict | 'not supported' | 'printed something' {
  const argv = ['--register=no', '--keep-unit', '-D', missing, ...words]
  try {
    return parseCommandLine(argv, { cwd: tmpdir(), env, version: '0' }).kind === 'run'
      ? 'accepted'
      : 'printed something'
  } catch (error) {
    return describeError(error).includes('not supported') ? 'not supported' : 'refused'
  }
}

/** Values as they come behind `--NAME=`; none of them may be one that the page tells apart. */
const values: Readonly<Record<string, readonly string[]>> = {
  bind: [
    '',
    ':',
    '::',
    'a',
    'a:b',
    'a:/b',
    '/a',
    '/a:',
    ':/b',
    ':b',
    '+',
    '+a',
    '+/a',
    '+a:/b',
    '/a\\:b',
    '/a\\',
    '"/a:b"',
    '/a:/b:',
    '/a:/b:idmap,norbind',
    '/a:/',
  ],
  inaccessible: ['', 'a', '+/a', '/a', '/a/../b'],
  tmpfs: ['', ':', 'a', '+/a', '/a', '/a:', '/a:size=1', '/a:b:c', '/a\\:b'],
  overlay: [
    '',
    '/a',
    '/a:',
    'a:b',
    '/a:/b',
    '/a:b',
    '/a:/b:c',
    '/a::/b',
    '::/b',
    '+',
    '+/a::/b',
    '+a:/b',
    '/a::',
    '/a:/b:',
    ':::',
    ':/b',
  ],
  rlimit: [
    '',
    'NOFILE',
    'a=b',
    'nofile=1',
    'RLIMIT_NOFILE=1',
    'LimitNOFILE=1',
    'NOFILE=1:2',
    'NOFILE=2:1',
    'NOFILE=1:',
    'NOFILE=infinity',
    'NOFILE=inf',
    'NOFILE=infinity:5',
    'NOFILE=1K',
    'NOFILE= 5',
    'NOFILE=0x10',
    'NOFILE=-1',
    'NOFILE=18446744073709551614',
    'NOFILE=18446744073709551615',
    'AS=1M1K',
    'AS=1K1M',
    'AS=10.5K',
    'AS=1 K',
    'AS=1k',
    'AS=1KB',
    'AS=15E',
    'AS=16E',
    'CPU=1.5s',
    'CPU=5min30s',
    'CPU=x',
    'CPU=-1',
    'CPU=2:1s',
    'RTTIME=1h',
    'NICE=-20',
    'NICE=-21',
    'NICE=+19',
    'NICE=+20',
    'NICE=40',
    'NICE=41',
    'NICE=+5:-5',
    'NICE=-5:+5',
    'NICE=infinity',
    'RTPRIO=1K',
    'MSGQUEUE=1K',
  ],
  'kill-signal': [
    '',
    '0',
    '1',
    '64',
    '65',
    '-1',
    'TERM',
    'SIGTERM',
    'term',
    'RTMIN',
    'RTMIN+30',
    'RTMIN+31',
    'RTMIN-1',
    'RTMAX-30',
    'RTMAX+1',
    'RTMIN+',
    'CLD',
    'SIG9',
    '0x9',
    ' 9',
    '010',
  ],
  'private-users': [
    '',
    'no',
    'off',
    'yes',
    'on',
    'y',
    'pick',
    'identity',
    '0',
    '1',
    '05',
    '0x5',
    '-1',
    ' 5',
    '5 ',
    '5:',
    ':5',
    '5:6:7',
    '0:0',
    '65535',
    '65534',
    '4294967295',
    '4294967294:1',
    '4294967294:2',
    '4294901759',
    '4294901760',
    '0:4294967295',
  ],
  'private-users-ownership': ['', 'off', 'no', 'yes', 'auto', 'map', 'chown', 'Map'],
  capability: [
    '',
    ',',
    'all',
    'ALL',
    'CAP_MKNOD',
    'cap_mknod',
    'mknod',
    '0',
    '40',
    '64',
    'CAP_MKNOD,',
    'CAP_MKNOD CAP_KILL',
  ],
  'ambient-capability': ['', 'all', 'cap_chown', 'cap_net_admin', 'cap_nonsense'],
  'oom-score-adjust': ['', '0', '-1000', '-1001', '1000', '1001', '+5', '0x10', '5x'],
  'cpu-affinity': [
    '',
    '0',
    '0-3,7',
    '0 3',
    '0,,1',
    '0-',
    '-3',
    '8191',
    '8192',
    'a',
    '03',
    '0-3 , 5',
  ],
  personality: process.arch === 'x64' ? ['', 'x86', 'x86-64', 'i686', 'help'] : [''],
  'resolv-conf': ['', 'no', 'off', 'yes', 'copy-host', 'copy', 'bind-stub', 'delete', 'auto'],
  timezone: ['', 'no', 'yes', 'off', 'copy', 'bind', 'symlink', 'delete', 'auto', 'Auto'],
  'link-journal': [
    '',
    'no',
    'yes',
    'off',
    'auto',
    'host',
    'guest',
    'try-host',
    'try-guest',
    'try-auto',
  ],
  console: ['', 'interactive', 'read-only', 'passive', 'pipe', 'autopipe', 'Pipe', 'yes'],
  volatile: ['', 'no', 'yes', 'off', 'true', 'state', 'overlay', 'State'],
  machine: ['', 'a', 'a.b', 'a_b', '-a', 'a-', 'a..b', 'a.', 'x'.repeat(64), 'x'.repeat(65)],
  hostname: ['', 'a', 'a.b', 'Foo_bar', 'a.b.', 'foo..bar', '-a'],
  uuid: [
    '',
    'x',
    '0'.repeat(32),
    '00112233445566778899AABBCCDDEEFF',
    '00112233-4455-6677-8899-aabbccddeeff',
    '0011223344556677-8899aabbccddeeff',
  ],
  setenv: ['', 'A', 'A=', 'A=a=b', '=b', '1A=b', 'A-B', 'A-B=c', 'a.b=c', 'NOSUCH', 'A=x\ny'],
  'bind-ro': ['', ':', 'a', '/a', '/a:b', '+/a', ':/b', '/a:/b:norbind'],
  'overlay-ro': ['', '/a', '/a:/b', '/a:', '+/a::/b', '/a:b'],
  'drop-capability': ['', ',', 'all', 'CAP_MKNOD', 'mknod', '0', '64', 'CAP_MKNOD CAP_KILL'],
  user: ['', 'root', '0', 'a b', '-1'],
  slice: [
    '',
    'a',
    'a.slice',
    'a-b',
    '-',
    '-.slice',
    'a b',
    'a/b',
    'a.b',
    'a@',
    'é',
    '*',
    'a\\x20b',
  ],
  property: ['A=', 'A=1', 'MemoryMax=x', 'A=1 B=2'],
  register: ['', 'yes', 'no', '1', 'off', 'sometimes'],
  'set-credential': [
    '',
    'a',
    ':x',
    'a:',
    'a:x:y',
    'a/b:x',
    '.:x',
    'a\\x41:x',
    'a\\:b:x',
    'é:x',
    'a b:x',
    `${'x'.repeat(255)}:y`,
    `${'x'.repeat(256)}:y`,
    'a:\\',
    'a:\\q',
    'a:\\x00\\u0000\\000',
    'a:\\ud800',
    'a:\\U00110000',
    'a:\\400',
    '"a:b"',
  ],
  'load-credential': ['', 'a', 'a:', 'a:b', ':/dev/null', 'a:/dev/null', 'a/b:/dev/null', '.:/'],
  'bind-user': ['', '1', '1000', 'a/b', '-a', 'a b', 'A.b', 'x'.repeat(32)],
  'pivot-root': ['', '/', '/a', 'a', '/a:/b', '/a:b', '/a:', ':/a', ':', '/a\\:b', '/a:/b:/c'],
  chdir: ['', 'rel', '/', '/a//b'],
  'notify-ready': ['', 'yes', 'no', '1', 'perhaps'],
  'suppress-sync': ['', 'yes', 'no', 'perhaps'],
  'no-new-privileges': ['', 'yes', 'no', 'perhaps'],
  'system-call-filter': ['', '~', 'mount', '~@mount open', '@nosuchgroup'],
}

/** Several words, and what the caller's environment has besides. */
const lines: readonly (readonly [line: string, env?: Readonly<Record<string, string>>])[] = [
  ['--net'],
  ['--no'],
  ['--foo'],
  ['-y'],
  ['-E'],
  ['--read-only=1'],
  ['--rea'],
  ['--priv=pick'],
  ['-xqa'],
  ['-x --template=/t'],
  ['--private-users=pick --read-only'],
  ['--private-users=pick --private-users-ownership=chown --read-only'],
  ['--private-users-ownership=chown --read-only'],
  ['--private-users-ownership=chown --volatile'],
  ['--private-users=pick --bind=/tmp:/'],
  ['--private-users=65536 --bind=/tmp:/'],
  ['--private-users=65536 --private-users-ownership=map --bind=/tmp:/'],
  ['--private-users=yes --bind=/tmp:/'],
  ['--private-users=identity --bind=/tmp:/'],
  ['-U --bind=/tmp:/'],
  ['--private-users-chown=whatever'],
  ['--keep-unit=1'],
  ['--no-pager'],
  ['--no-pager=1'],
  ['-Z a:b:c:s0 -L a:b:c:s0'],
  ['-Z'],
  ['-S'],
  ['--set-credential=a:1 --set-credential=b:1'],
  ['--set-credential=a:1 --set-credential=a:1'],
  ['--set-credential=a:1 --load-credential=a:/dev/null'],
  ['-U --bind-user=a --bind-user=a'],
  ['--private-users=identity --bind-user=a'],
  ['--cpu-affinity=0 --cpu-affinity='],
  ['--ambient-capability=cap_net_bind_service'],
  ['--capability=cap_sys_time --ambient-capability=cap_sys_time'],
  ['--share-system'],
  ['--share-system -a'],
  ['--share-system -b'],
  ['-b'],
  ['-ab'],
  ['-b -a'],
  ['-bb 3'],
  ['-b --ambient-capability=cap_chown'],
  ['-x --link-journal=host'],
  ['-x --link-journal=guest'],
  ['-x --link-journal=try-guest'],
  ['-xj'],
  ['--drop-capability=cap_chown --ambient-capability=cap_chown'],
  ['--private-network --ambient-capability=cap_net_admin'],
  ['-q', { SYSTEMD_NSPAWN_TMPFS_TMP: 'x' }],
  ['-q', { SYSTEMD_NSPAWN_LOCK: 'x' }],
  ['-q', { SYSTEMD_SUPPRESS_SYNC: 'x' }],
  ['-q', { SYSTEMD_NSPAWN_USE_CGNS: '' }],
  ['-q', { SYSTEMD_NSPAWN_SHARE_NS_IPC: 'x' }],
  ['-q', { SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network' }],
  ['-q', { SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'x' }],
  ['-U', { SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1' }],
  ['-U', { SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network' }],
  ['-U --private-network', { SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network' }],
]

describe.skipIf(lacks('root', 'program:systemd-nspawn'))('as systemd-nspawn', () => {
  test.each(Object.entries(values))('--%s= takes and refuses the same values', (name, texts) => {
    const words = (text: string) => [`--${name}=${text}`]
    const verdicts = (judge: typeof ours) =>
      Object.fromEntries(texts.map((text) => [text, judge(words(text), {})]))
    expect(verdicts(ours)).toEqual(verdicts(original))
  })

  test.each(lines.map(([line, env = {}]) => ({ line, env })))('$line $env', ({ line, env }) => {
    expect(ours(line.split(' '), env)).toBe(original(line.split(' '), env))
  })

  test('the value help lists the same names', () => {
    const theirs = options.filter(({ section }) => section !== 'Additions of tsnspawn')
    for (const option of theirs.filter(({ list }) => list !== undefined)) {
      const word = `--${option.name}=help`
      const { stdout } = spawnSync('systemd-nspawn', [word], { encoding: 'utf8' })
      // Signal 0 is listed there and then refused.
      const names = stdout
        .trim()
        .split('\n')
        .filter((name) => name !== '0')
      expect([word, ...(option.list?.() ?? [])]).toEqual([word, ...names])
    }
  })

  test('every option of systemd-nspawn --help is in the table', () => {
    const { stdout } = spawnSync('systemd-nspawn', ['--help'], { encoding: 'utf8' })
    const written = [...stdout.matchAll(/^ {2}(?:-(\w)| {2}) ?(?:--([a-z0-9-]+))?/gm)]
    const known = options.flatMap(({ name, aliases = [], short }) => [name, ...aliases, short])
    expect(written.length).toBeGreaterThan(60)
    for (const [, letter, name] of written)
      expect(known).toEqual(
        expect.arrayContaining([letter, name].filter((word) => word !== undefined)),
      )
  })
})
