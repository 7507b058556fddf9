/** Rows that compare everything the probe sees inside. */
import type { ParityCase } from '../case.ts'

export type Row = Omit<ParityCase, 'compare' | 'args' | 'option' | 'title'>

export function row(
  option: string,
  title: string,
  args: readonly string[] | ParityCase['args'],
  more: Row = {},
): ParityCase {
  const make = typeof args === 'function' ? args : () => args
  return { option, title, args: make, compare: 'facts', ...more }
}

const shared = (files: string, rest = '') => `${files}/shared${rest}`

const start: ParityCase[] = [
  row('COMMAND', 'the whole environment of a plain start', ['--pipe'], { probe: ['writes'] }),
  row('COMMAND', 'the same system calls pass, fail and are unknown', ['--pipe'], {
    probe: ['syscalls'],
  }),
  row('-a, --as-pid2', 'a stub init is PID 1 and the payload PID 2', ['--as-pid2', '--pipe']),
  row('--chdir=', 'the payload starts in that directory', ['--pipe', '--chdir=/usr/lib']),
  row('-E, --setenv=', 'variables are added, overridden, and taken from the caller', [
    ...[
      '--pipe',
      '-E',
      'A=1',
      '--setenv=B=x y',
      '-E',
      'LANG=de_DE.UTF-8',
      '-E',
      'NOT_FOR_THE_PAYLOAD',
    ],
    ...['-E', 'UNSET_IN_CALLER', '-E', 'EMPTY=', '-E', 'A=2'],
  ]),
  row('-u, --user=', 'another user has its ids, groups, home and no capabilities', [
    ...['--pipe', '--user=daemon'],
  ]),
  row('-u, --user=', 'root by name is root', ['--pipe', '-u', 'root']),
  row('-u, --user=', 'a user by number', ['--pipe', '-u', '33'], { probe: ['writes'] }),
  row('-u, --user=', 'with --chdir= the home is not entered', [
    '--pipe',
    '-u',
    'bin',
    '--chdir=/tmp',
  ]),
  row('-q, --quiet', 'changes nothing inside', ['--pipe', '--quiet']),
  row('--suppress-sync=', 'sync calls succeed without work', ['--pipe', '--suppress-sync=yes'], {
    probe: ['syscalls'],
  }),
]

/** The probe in place of an init: it gets the arguments. */
const probeAsInit = `printf '#!/bin/sh\\nexec perl /usr/lib/tsnspawn-probe.pl "$@"\\n' > "$TREE/usr/sbin/init"
chmod +x "$TREE/usr/sbin/init"`
/** A tree within the tree. */
const inner = `mkdir -p "$TREE/inner"; cd "$TREE"; cp -a bin lib lib64 usr etc inner`

const boot: ParityCase[] = [
  row('-b, --boot', 'an init without a terminal', ['--boot', '--pipe'], { prepare: probeAsInit }),
  row('-b, --boot', 'an init on a console, with a user namespace', ['--boot', '-U'], {
    prepare: probeAsInit,
    terminal: {},
    freshTree: true,
  }),
  row('--pivot-root=', 'another root', ['--pipe', '--pivot-root=/inner'], {
    prepare: inner,
    freshTree: true,
  }),
]

const identity: ParityCase[] = [
  row('-M, --machine=', 'the name becomes the host name', ['--pipe', '--machine=some-name']),
  row('-M, --machine=', 'finds the tree in the machines directory', ['--pipe', '-M', 'parity'], {
    ownRoot: true,
  }),
  row('--hostname=', 'the host name is its own', ['--pipe', '--hostname=host.example.org']),
  row('--uuid=', 'is the container’s UUID when the tree has no machine ID', [
    ...['--pipe', '--uuid=11111111222233334444555555555555'],
  ]),
  row(
    '--uuid=',
    'loses against the machine ID of the tree',
    ['--pipe', '--uuid=11111111222233334444555555555555'],
    {
      prepare: 'echo 0123456789abcdef0123456789abcdef > "$TREE/etc/machine-id"',
    },
  ),
  row('-D, --directory=', 'the current directory is the default', ['--pipe'], {
    ownRoot: true,
    from: ({ tree }) => tree,
  }),
  row(
    '-D, --directory=',
    'a relative path counts from the current directory',
    ['--pipe', '-D', '../machines/./parity'],
    {
      ownRoot: true,
      from: ({ files }) => files,
    },
  ),
  row('--template=', 'a tree that exists is not populated', ({ tree }) => [
    '--pipe',
    `--template=${tree}`,
  ]),
]

const image: ParityCase[] = [
  row(
    '-x, --ephemeral',
    'runs on a copy that forgets what was written',
    ['--pipe', '--ephemeral', '-M', 'parity-x'],
    {
      probe: ['writes'],
    },
  ),
  ...['--read-only', '--volatile=state', '--volatile=overlay'].map((option) =>
    row('-x, --ephemeral', `with ${option}`, ['--pipe', '--ephemeral', '-M', 'parity-x', option], {
      probe: ['writes'],
    }),
  ),
  row(
    '-x, --ephemeral',
    'read-only, with a user namespace',
    ['--pipe', '--ephemeral', '-M', 'parity-x', '--read-only', '-U'],
    { probe: ['writes'] },
  ),
  row('--read-only', 'the tree cannot be written', ['--pipe', '--read-only'], {
    probe: ['writes'],
  }),
  row(
    '--read-only',
    'with a user namespace',
    ['--pipe', '--read-only', '-U', '--private-network'],
    {
      probe: ['writes'],
    },
  ),
  ...['no', 'yes', 'state', 'overlay'].map((mode) =>
    row('--volatile=', `mode ${mode}`, ['--pipe', `--volatile=${mode}`], { probe: ['writes'] }),
  ),
  row('--volatile=', 'without a value is yes', ['--pipe', '--volatile']),
  // The original 252 cannot combine the modes yes and state with ID-mapped mounts (EBUSY).
  ...['overlay'].map((mode) =>
    row(
      '--volatile=',
      `mode ${mode} with a user namespace`,
      ['--pipe', `--volatile=${mode}`, '-U'],
      {
        probe: ['writes'],
      },
    ),
  ),
]

const owners = ['off', 'chown', 'map', 'auto']
const users: ParityCase[] = [
  row('-U', 'a range is picked from the name, owners are mapped', ['--pipe', '-U'], {
    probe: ['writes'],
  }),
  row(
    '-U',
    'with a private network and the stub init',
    ['--pipe', '-U', '--private-network', '-a'],
    {
      probe: ['writes'],
    },
  ),
  row('-U', 'with another user', ['--pipe', '-U', '-u', 'daemon'], { probe: ['writes'] }),
  row('-U', 'system calls', ['--pipe', '-U'], { probe: ['syscalls'] }),
  row('--private-users=', 'mode no', ['--pipe', '--private-users=no']),
  row('--private-users=', 'mode yes takes the owner of the tree', [
    '--pipe',
    '--private-users=yes',
  ]),
  row('--private-users=', 'mode identity', ['--pipe', '--private-users=identity'], {
    probe: ['writes'],
  }),
  row('--private-users=', 'mode pick', ['--pipe', '--private-users=pick'], { freshTree: true }),
  row('--private-users=', 'a base', [
    '--pipe',
    '--private-users=655360',
    '--private-users-ownership=map',
  ]),
  row('--private-users=', 'a base and a length', [
    ...['--pipe', '--private-users=655360:1000', '--private-users-ownership=map'],
  ]),
  row('--private-users=', 'the last one wins', ['--pipe', '-U', '--private-users=no']),
  ...owners.map((owner) =>
    row(
      '--private-users-ownership=',
      `mode ${owner}`,
      ['--pipe', '--private-users=1310720', `--private-users-ownership=${owner}`],
      { freshTree: true, probe: ['writes'] },
    ),
  ),
]

const network: ParityCase[] = [
  row('--private-network', 'only lo, up, and /sys is small', ['--pipe', '--private-network'], {
    probe: ['writes'],
  }),
]

const security: ParityCase[] = [
  row('--capability=', 'adds', ['--pipe', '--capability=CAP_NET_ADMIN,CAP_SYS_TIME']),
  row(
    '--capability=',
    'opens the system calls that go with it',
    ['--pipe', '--capability=CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYSLOG'],
    {
      probe: ['syscalls'],
    },
  ),
  row('--capability=', 'all', ['--pipe', '--capability=all'], { probe: ['syscalls'] }),
  row('--drop-capability=', 'removes', ['--pipe', '--drop-capability=CAP_SYS_ADMIN,CAP_MKNOD'], {
    probe: ['writes'],
  }),
  row(
    '--drop-capability=',
    'closes the system calls that went with it',
    ['--pipe', '--drop-capability=CAP_SYS_BOOT,CAP_SYS_PTRACE'],
    {
      probe: ['syscalls'],
    },
  ),
  row('--drop-capability=', 'all', ['--pipe', '--drop-capability=all']),
  row('--drop-capability=', 'wins over adding, and over the private network', [
    ...[
      '--pipe',
      '--capability=CAP_SYS_TIME',
      '--drop-capability=CAP_SYS_TIME,cap_net_admin',
      '--private-network',
    ],
  ]),
  row('--ambient-capability=', 'reaches another user', [
    ...['--pipe', '--ambient-capability=CAP_NET_RAW', '-u', 'daemon'],
  ]),
  row('--no-new-privileges=', 'is set', ['--pipe', '--no-new-privileges=yes']),
  row('--no-new-privileges=', 'for another user', [
    '--pipe',
    '--no-new-privileges=1',
    '-u',
    'daemon',
  ]),
  row('--system-call-filter=', 'allows more', ['--pipe', '--system-call-filter=@keyring bpf'], {
    probe: ['syscalls'],
  }),
  row(
    '--system-call-filter=',
    'takes a group away',
    ['--pipe', '--system-call-filter=~@mount @clock'],
    {
      probe: ['syscalls'],
    },
  ),
  row(
    '--system-call-filter=',
    'takes one call away',
    ['--pipe', '--system-call-filter=~mkdir', '--system-call-filter=~chown'],
    {
      probe: ['syscalls'],
    },
  ),
  row('--rlimit=', 'sets soft and hard limits by any name', [
    ...['--pipe', '--rlimit=NOFILE=500:1000', '--rlimit=RLIMIT_CORE=0', '--rlimit=LimitNPROC=100'],
    ...['--rlimit=FSIZE=1G', '--rlimit=CPU=2min', '--rlimit=STACK=4M:8M', '--rlimit=AS=infinity'],
  ]),
  row('--oom-score-adjust=', 'is written', ['--pipe', '--oom-score-adjust=500']),
  row('--cpu-affinity=', 'pins', ['--pipe', '--cpu-affinity=0']),
  row('--personality=', '32 bit', ['--pipe', '--personality=x86']),
]

const mounts: ParityCase[] = [
  row(
    '--bind=',
    'a directory, made when it is missing',
    ({ files }) => ['--pipe', `--bind=${shared(files)}:/new/deep`],
    {
      probe: ['writes'],
      read: ['/new', '/new/deep', '/new/deep/hello', '/new/deep/deep'],
    },
  ),
  row('--bind=', 'a file', ({ files }) => ['--pipe', `--bind=${files}/file:/etc/new-file`], {
    read: ['/etc/new-file'],
  }),
  row('--bind=', 'the same path when there is no destination', ({ files }) => [
    '--pipe',
    `--bind=${shared(files)}`,
  ]),
  row('--bind=', 'submounts come along', ({ mounts: m }) => ['--pipe', `--bind=${m}:/mnt`], {
    read: ['/mnt', '/mnt/inner'],
  }),
  row(
    '--bind=',
    'norbind leaves submounts out',
    ({ mounts: m }) => ['--pipe', `--bind=${m}:/mnt:norbind`],
    {
      read: ['/mnt', '/mnt/inner'],
    },
  ),
  row(
    '--bind=',
    'an escaped colon',
    ({ files }) => ['--pipe', `--bind=${files}/with\\:colon:/mnt`],
    {
      prepare: 'mkdir "$FILES/with:colon"; echo x > "$FILES/with:colon/x"',
      read: ['/mnt'],
    },
  ),
  row('--bind=', 'a source in the container', ['--pipe', '--bind=+/usr/lib:/mnt']),
  row('--bind=', 'an empty source is a fresh directory', ['--pipe', '--bind=:/mnt'], {
    probe: ['writes'],
    read: ['/mnt'],
  }),
  row(
    '--bind=',
    'a destination through a link of the tree stays in the tree',
    ({ files }) => ['--pipe', `--bind=${shared(files)}:/link/x`],
    {
      prepare: 'ln -s /../../../opt "$TREE/link"',
      read: ['/opt/x', '/link/x'],
    },
  ),
  row(
    '--bind=',
    'is sorted by destination',
    ({ files }) => [
      ...['--pipe', `--bind=${files}/lower1:/mnt/inner`, `--bind=${shared(files)}:/mnt`],
    ],
    { prepare: 'mkdir "$FILES/shared/inner"', read: ['/mnt', '/mnt/inner'] },
  ),
  row(
    '--bind=',
    'with a user namespace foreign owners are nobody',
    ({ files }) => ['--pipe', '-U', `--bind=${shared(files)}:/mnt`],
    {
      probe: ['writes'],
      read: ['/mnt', '/mnt/deep'],
    },
  ),
  row('--bind=', 'idmap', ({ files }) => ['--pipe', '-U', `--bind=${shared(files)}:/mnt:idmap`], {
    probe: ['writes'],
    read: ['/mnt', '/mnt/deep'],
  }),
  row(
    '--bind=',
    'rootidmap',
    ({ files }) => ['--pipe', '-U', `--bind=${shared(files)}/deep:/mnt:rootidmap`],
    {
      probe: ['writes'],
      read: ['/mnt'],
    },
  ),
  row(
    '--bind-ro=',
    'cannot be written',
    ({ files }) => ['--pipe', `--bind-ro=${shared(files)}:/mnt`],
    {
      probe: ['writes'],
      read: ['/mnt'],
    },
  ),
  row('--bind-ro=', 'nor can its submounts', ({ mounts: m }) => ['--pipe', `--bind-ro=${m}:/mnt`], {
    probe: ['writes'],
    read: ['/mnt', '/mnt/inner'],
  }),
  row('--tmpfs=', 'without options', ['--pipe', '--tmpfs=/new/tmpfs'], {
    probe: ['writes'],
    read: ['/new', '/new/tmpfs'],
  }),
  row('--tmpfs=', 'with options', ['--pipe', '--tmpfs=/mnt:size=1M,mode=0700']),
  row('--tmpfs=', 'with a user namespace', [
    '--pipe',
    '-U',
    '--tmpfs=/mnt',
    '--tmpfs=/opt:mode=0750',
  ]),
  row(
    '--inaccessible=',
    'a file and a directory',
    ['--pipe', '--inaccessible=/etc/passwd', '--inaccessible=/opt'],
    {
      read: ['/etc/passwd', '/opt'],
    },
  ),
  row(
    '--overlay=',
    'two layers: the upper is the destination',
    ({ files }) => ['--pipe', `--overlay=${files}/lower1:${files}/upper`],
    {
      // The destination's parent has to be there.
      prepare: 'mkdir -p "$TREE$FILES"',
      probe: ['writes'],
    },
  ),
  row(
    '--overlay=',
    'more layers, left-most lowest',
    ({ files }) => [...['--pipe', `--overlay=${files}/lower1:${files}/lower2:${files}/upper:/mnt`]],
    { probe: ['writes'], read: ['/mnt', '/mnt/both', '/mnt/one', '/mnt/three'] },
  ),
  row(
    '--overlay=',
    'over a directory of the tree with an upper of its own',
    ['--pipe', '--overlay=+/opt::/opt'],
    {
      prepare: 'echo lower > "$TREE/opt/lower"',
      probe: ['writes'],
      read: ['/opt'],
    },
  ),
  row(
    '--overlay=',
    'with a user namespace',
    ({ files }) => ['--pipe', '-U', `--overlay=${files}/lower1:${files}/upper:/mnt`],
    {
      probe: ['writes'],
      read: ['/mnt'],
    },
  ),
  row(
    '--overlay-ro=',
    'cannot be written',
    ({ files }) => ['--pipe', `--overlay-ro=${files}/lower1:${files}/lower2:/mnt`],
    {
      probe: ['writes'],
      read: ['/mnt', '/mnt/both'],
    },
  ),
]

const consoles: ParityCase[] = [
  row('--console=', 'pipe', ['--console=pipe']),
  row('--console=', 'autopipe without a terminal', ['--console=autopipe']),
  row('--console=', 'read-only without a terminal', ['--console=read-only']),
  row('--console=', 'interactive without a terminal', ['--console=interactive']),
  row('--console=', 'the default without a terminal', []),
  ...['interactive', 'read-only', 'passive', 'pipe', 'autopipe'].map((mode) =>
    row('--console=', `${mode} in a terminal`, [`--console=${mode}`, '-q'], { terminal: {} }),
  ),
  row('--console=', 'the default in a terminal', ['-q'], { terminal: { type: 'screen-256color' } }),
  row('--console=', 'in a terminal with another user', ['-q', '-u', 'daemon'], { terminal: {} }),
  row('--console=', 'in a terminal with a user namespace', ['-q', '-U'], { terminal: {} }),
  row('-P, --pipe', 'in a terminal with the stub init', ['-P', '-a'], { terminal: {} }),
]

const resolv = [
  ...['off', 'auto', 'delete', 'copy-host', 'replace-host', 'bind-host', 'copy-static'],
  ...['replace-static', 'bind-static', 'copy-uplink', 'bind-stub'],
]
const integration: ParityCase[] = [
  ...resolv.map((mode) =>
    row('--resolv-conf=', mode, ['--pipe', `--resolv-conf=${mode}`], {
      prepare: 'echo "# of the tree" > "$TREE/etc/resolv.conf"',
    }),
  ),
  row(
    '--resolv-conf=',
    'copy leaves a link alone, replace does not',
    ['--pipe', '--resolv-conf=copy-host'],
    {
      prepare: 'ln -sf ../run/x "$TREE/etc/resolv.conf"',
    },
  ),
  row(
    '--resolv-conf=',
    'replace takes the place of a link',
    ['--pipe', '--resolv-conf=replace-host'],
    {
      prepare: 'ln -sf ../run/x "$TREE/etc/resolv.conf"',
    },
  ),
  row(
    '--resolv-conf=',
    'bind makes the file when it is missing',
    ['--pipe', '--resolv-conf=bind-host'],
    {
      prepare: 'rm "$TREE/etc/resolv.conf"',
    },
  ),
  row('--resolv-conf=', 'auto in a read-only tree binds', [
    '--pipe',
    '--read-only',
    '--resolv-conf=auto',
  ]),
  row(
    '--resolv-conf=',
    'auto with a private network is off',
    ['--pipe', '--private-network', '--resolv-conf=auto'],
    {
      prepare: 'echo "# of the tree" > "$TREE/etc/resolv.conf"',
    },
  ),
  ...['off', 'copy', 'bind', 'symlink', 'delete', 'auto'].map((mode) =>
    row('--timezone=', mode, ['--pipe', `--timezone=${mode}`], {
      prepare: 'ln -sf /usr/share/zoneinfo/Etc/GMT "$TREE/etc/localtime"',
    }),
  ),
  row('--timezone=', 'auto in a read-only tree', ['--pipe', '--read-only', '--timezone=auto'], {
    prepare: 'ln -sf /usr/share/zoneinfo/Etc/GMT "$TREE/etc/localtime"',
  }),
  row('--timezone=', 'symlink without the zone in the tree', ['--pipe', '--timezone=symlink'], {
    prepare: 'rm -rf "$TREE/usr/share/zoneinfo"',
  }),
]

export const factCases: readonly ParityCase[] = [
  ...start,
  ...boot,
  ...identity,
  ...image,
  ...users,
  ...network,
  ...security,
  ...mounts,
  ...consoles,
  ...integration,
]
