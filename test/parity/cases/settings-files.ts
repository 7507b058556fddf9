/** Rows about `.nspawn` files: the same file is read by both programs. */
import type { ParityCase, Place } from '../case.ts'
import { row } from './facts.ts'
import { outcome, refusal } from './outcomes.ts'

const lines = (...all: readonly string[]) => `${all.join('\n')}\n`
const trusted =
  (...all: readonly string[]) =>
  () => ({ trusted: lines(...all) })
const beside =
  (...all: readonly string[]) =>
  () => ({ beside: lines(...all) })

const file = '.nspawn file'
const mode = '--settings='
const who = ['sh', '-c', 'id -un; hostname; pwd; echo $A,$B; ulimit -n']
const person = [
  '[Exec]',
  'User=bin',
  'Hostname=from-file',
  'WorkingDirectory=/usr',
  'Environment=A=1',
]
const capabilities = ['sh', '-c', 'grep CapBnd /proc/self/status; grep -c : /proc/net/dev']
const privileged = [
  ...['[Exec]', 'User=daemon', 'DropCapability=CAP_KILL', 'Capability=CAP_SYS_TIME'],
  ...['LimitNOFILE=100', 'OOMScoreAdjust=100', 'CPUAffinity=0', 'PrivateUsers=identity'],
  ...['MachineID=11111111222233334444555555555555', 'Ephemeral=yes', 'SystemCallFilter=keyctl'],
  ...['[Files]', 'Bind=/usr/share:/mnt', 'TemporaryFileSystem=/opt', 'Inaccessible=/usr/bin/perl'],
  ...['[Network]', 'Private=yes'],
]

export const settingsFileCases: readonly ParityCase[] = [
  row(file, 'user, working directory, host name, environment and no new privileges', ['--pipe'], {
    settings: trusted(
      ...[
        '# a comment',
        '[Exec]',
        ' User = daemon ',
        'WorkingDirectory=/usr/lib',
        'Hostname=in-file',
      ],
      ...['Environment=A=1 "B=x y" \\', '; between', ' C=3', 'Environment=D=%H A=2', 'LANG=x'],
      ...['NoNewPrivileges=yes'],
    ),
  }),
  row(file, 'capabilities', ['--pipe'], {
    settings: trusted(
      ...['[Exec]', 'Capability=CAP_NET_ADMIN CAP_SYS_TIME', 'Capability=bogus', 'Capability='],
      ...['DropCapability=cap_kill 4', 'DropCapability=CAP_CHOWN,CAP_FOWNER'],
    ),
  }),
  row(file, 'system call filters', ['--pipe'], {
    probe: ['syscalls'],
    settings: trusted('[Exec]', 'SystemCallFilter=~@mount', 'SystemCallFilter=keyctl add_key'),
  }),
  row(file, 'mounts of every kind, in their order', ['--pipe'], {
    settings: ({ files }: Place) => ({
      trusted: lines(
        ...[
          '[Files]',
          `Bind=${files}/shared:/mnt/a:norbind`,
          `BindReadOnly=${files}/file`,
          'Bind=',
        ],
        ...['TemporaryFileSystem=/opt:size=1m', 'Inaccessible=/etc/passwd', 'Bind=relative'],
        ...[`Overlay=${files}/lower1:${files}/upper:/mnt/b`, 'BindReadOnly=+/usr/share:/mnt/c'],
        ...[`OverlayReadOnly=${files}/lower1:${files}/lower2:/mnt/d`],
      ),
    }),
  }),
  row(file, 'a user namespace with mapped owners', ['--pipe'], {
    settings: trusted('[Exec]', 'PrivateUsers=655360', '[Files]', 'PrivateUsersOwnership=map'),
  }),
  row(file, '1 is a boolean for the user namespace', ['--pipe'], {
    settings: trusted('[Exec]', 'PrivateUsers=1'),
  }),
  row(file, 'resource limits, affinity, out-of-memory score and personality', ['--pipe'], {
    settings: trusted(
      ...['[Exec]', 'LimitNOFILE=100:200', 'LimitNOFILE=bad', 'LimitCPU=1h', 'LimitCORE=1K:2M'],
      ...['LimitNICE=+5', 'LimitAS=', 'OOMScoreAdjust=100', 'CPUAffinity=0', 'Personality=x86'],
    ),
  }),
  row(file, 'machine ID, resolv.conf and time zone', ['--pipe'], {
    settings: trusted(
      ...['[Exec]', 'MachineID=11111111222233334444555555555555', 'ResolvConf=off', 'Timezone=off'],
    ),
  }),
  row(file, 'a private network', ['--pipe'], {
    settings: trusted('[Network]', 'Private=yes'),
  }),
  row(file, 'a read-only tree', ['--pipe'], { settings: trusted('[Files]', 'ReadOnly=yes') }),
  row(file, 'a volatile tree', ['--pipe'], { settings: beside('[Files]', 'Volatile=overlay') }),
  row(file, 'beside the tree, what gives privileges is not heard', ['--pipe'], {
    settings: beside(...privileged),
  }),
  row(file, 'beside the tree, --settings=trusted hears it', ['--pipe', '--settings=trusted'], {
    settings: beside(...privileged.filter((line) => !/^(Ephemeral|Inaccessible)/.test(line))),
  }),
  outcome(file, 'process two with its parameters', ['--pipe'], [], {
    settings: beside(
      ...['[Exec]', 'ProcessTwo=yes', `Parameters=sh -c 'echo "$$ $0 $1"' "a b" c`, 'Boot=yes'],
    ),
  }),
  outcome(file, 'an init with its arguments', ['--pipe'], [], {
    prepare: `printf '%s\\n' '#!/bin/sh' 'echo "$$ $*"; exit 7' > "$TREE/usr/sbin/init"; chmod +x "$TREE/usr/sbin/init"`,
    settings: trusted('[Exec]', 'Boot=yes', 'Parameters=3 "a  b"'),
  }),
  outcome(file, 'parameters that were taken back', ['--pipe'], [], {
    settings: beside(
      ...[
        '[Exec]',
        'Boot=no',
        'Parameters=echo a',
        'Parameters=',
        'Parameters=printf %s| a\\b "" c',
      ],
    ),
  }),
  outcome(file, 'the trusted one alone is read where there are two', ['--pipe'], who, {
    settings: () => ({ beside: lines(...person), trusted: lines('[Exec]', 'Environment=B=2') }),
  }),
  outcome(file, 'is found by the name of the machine', ['--pipe', '--machine=other'], who, {
    settings: beside(...person),
  }),
  outcome(
    file,
    'is found by the name before the suffix',
    ['--pipe', '-q', '-x'],
    ['sh', '-c', 'id -un; pwd; echo $A'],
    { settings: beside(...person.filter((line) => !line.startsWith('Hostname'))) },
  ),
  outcome(file, 'unknown sections and keys, and lines that are none, do no harm', ['--pipe'], who, {
    settings: beside('A=1', ...person, 'Foo=1', 'bar', '= x', '[Bar]', 'User=x', '[X-a]', 'y'),
  }),
  outcome(mode, 'yes: the command line counts more', ['--pipe', '-u', 'daemon', '-E', 'B=2'], who, {
    settings: trusted(...person, 'LimitNOFILE=100'),
  }),
  outcome(
    mode,
    'override: the file counts more',
    ['--pipe', '--settings=override', '-u', 'daemon', '-E', 'B=2', '--rlimit=NOFILE=50'],
    who,
    { settings: trusted(...person, 'LimitNOFILE=100') },
  ),
  outcome(mode, 'no: the file is not read', ['--pipe', '--settings=no'], ['id', '-un'], {
    settings: trusted(...person),
  }),
  outcome(
    mode,
    'override: a file that takes back what the command line says',
    ['--pipe', '--settings=override', '--private-network', '--read-only', '--volatile=overlay'],
    [
      'sh',
      '-c',
      'grep CapBnd /proc/self/status; grep -c : /proc/net/dev; touch /x && echo written',
    ],
    { settings: trusted('[Network]', 'Private=no', '[Files]', 'ReadOnly=no', 'Volatile=no') },
  ),
  outcome(
    mode,
    'override: capabilities add up',
    [
      ...['--pipe', '--settings=override', '--capability=CAP_SYS_TIME,CAP_SYSLOG'],
      '--drop-capability=CAP_SYS_RAWIO,CAP_KILL',
    ],
    capabilities,
    { settings: trusted('[Exec]', 'Capability=CAP_SYS_RAWIO', 'DropCapability=CAP_SYS_TIME') },
  ),
  outcome(
    mode,
    'yes: one capability option masks all of the file',
    ['--pipe', '--capability=CAP_SYS_TIME'],
    capabilities,
    { settings: trusted('[Exec]', 'Capability=CAP_SYSLOG', 'DropCapability=CAP_KILL') },
  ),
  outcome(
    mode,
    'override: ownership alone turns -U off',
    ['--pipe', '--settings=override', '-U'],
    [...['sh', '-c', 'cat /proc/self/uid_map']],
    { settings: trusted('[Files]', 'PrivateUsersOwnership=map') },
  ),
  refusal(file, 'a section header without end', [], /parity\.nspawn:1: section header/, {
    settings: beside('[Exec'),
  }),
  refusal(file, 'an invalid processor', [], /parity\.nspawn:2: "x"/, {
    settings: beside('[Exec]', 'CPUAffinity=x'),
  }),
  refusal(file, 'all ambient capabilities', [], /AmbientCapability=all/, {
    settings: trusted('[Exec]', 'AmbientCapability=all'),
  }),
  refusal(file, 'an ambient capability that is not kept', [], /CAP_SYS_TIME/, {
    settings: trusted('[Exec]', 'AmbientCapability=CAP_SYS_TIME'),
  }),
  refusal(mode, 'a mode that is none', ['--settings=perhaps'], /--settings=perhaps/),
]
