/** Rows that compare exit statuses and output, and rows where both programs refuse. */
import { existsSync, readFileSync } from 'node:fs'
import type { ParityCase } from '../case.ts'

type Row = Omit<ParityCase, 'compare' | 'args' | 'option' | 'title' | 'command'>

export function outcome(
  option: string,
  title: string,
  args: readonly string[] | ParityCase['args'],
  command: readonly string[],
  more: Row = {},
): ParityCase {
  const make = typeof args === 'function' ? args : () => args
  return { option, title, args: make, compare: 'outcome', command, ...more }
}

export function refusal(
  option: string,
  title: string,
  args: readonly string[] | ParityCase['args'],
  names: RegExp,
  more: Row & { readonly command?: readonly string[] } = {},
): ParityCase {
  const make = typeof args === 'function' ? args : () => args
  return { option, title, args: make, compare: 'refusal', names, ...more }
}

const sh = (script: string) => ['sh', '-c', script]
const untilKilled = sh('echo ready; while :; do sleep 1; done')
const trapped = (signal: string) =>
  sh(`trap 'echo caught; exit 7' ${signal}; echo ready; while :; do sleep 0.05; done`)

const statuses: ParityCase[] = [
  outcome('COMMAND', 'exit status 0', ['-q'], ['true']),
  outcome('COMMAND', 'exit status 42 passes through', ['-q'], sh('exit 42')),
  outcome('COMMAND', 'exit status 133 is kept for reboot', ['-q'], sh('exit 133')),
  outcome(
    'COMMAND',
    'PID 1 that is killed by a signal of its own',
    ['-q'],
    [...['perl', '-e', '$SIG{ALRM} = "DEFAULT"; kill 9, $$; print "alive\n"; exit 5']],
  ),
  outcome(
    'COMMAND',
    'words after the command belong to it',
    ['-q'],
    ['echo', '-D', '--quiet', '--', 'x'],
  ),
  outcome('COMMAND', '-- ends the options', ['-q', '--'], ['echo', 'x']),
  outcome(
    'COMMAND',
    'is looked up in the PATH of the payload',
    ['-q', '-E', 'PATH=/opt'],
    ['tool'],
    {
      prepare: `printf '#!/bin/sh\\necho found\\n' > "$TREE/opt/tool"; chmod +x "$TREE/opt/tool"`,
    },
  ),
  outcome(
    'COMMAND',
    'standard error and output stay apart in a pipe',
    ['--pipe'],
    sh('echo out; echo err >&2'),
  ),
  outcome('COMMAND', 'reads standard input', ['--pipe'], ['cat'], { input: 'from outside\n' }),
  outcome(
    'COMMAND',
    'large output comes through whole',
    ['--pipe'],
    sh('seq 1 20000 | cksum; seq 1 20000'),
  ),
  outcome(
    'COMMAND',
    'large output through the console',
    ['-q', '--console=read-only'],
    sh('seq 1 20000'),
  ),
  outcome('COMMAND', 'a script without a shebang line', ['-q'], ['/opt/script'], {
    prepare: `printf 'echo found\\n' > "$TREE/opt/script"; chmod +x "$TREE/opt/script"`,
  }),
  outcome('COMMAND', 'without one, a login shell in the home directory', ['-q', '--pipe'], [], {
    input: 'pwd; echo "$0"; exit 3\n',
  }),
  outcome('COMMAND', 'a login shell of another user', ['-q', '--pipe', '-u', 'www-data'], [], {
    input: 'pwd; echo "$0" "$HOME"; exit 3\n',
  }),
  outcome('-a, --as-pid2', 'exit status passes through', ['-q', '-a'], sh('exit 42')),
  outcome('-a, --as-pid2', 'a payload killed by a signal is 255', ['-q', '-a'], sh('kill -9 $$')),
  outcome(
    '-a, --as-pid2',
    'orphans are reaped',
    ['-q', '-a', '--pipe'],
    [...sh('(sleep 0.05 &) ; (sh -c "sleep 0.05" &); sleep 0.3; ls -d /proc/[0-9]* | wc -l')],
  ),
  outcome(
    '-a, --as-pid2',
    'SIGTERM does not move the stub init',
    ['-q', '-a', '--pipe'],
    [...sh('kill -TERM 1; kill -HUP 1; sleep 0.2; echo alive')],
  ),
  outcome(
    '-a, --as-pid2',
    'SIGINT to the stub init ends the payload',
    ['-q', '-a', '--pipe', '--keep-unit'],
    [...sh('trap "echo told; exit 9" TERM; kill -INT 1; while :; do sleep 0.05; done')],
  ),
  outcome(
    '-a, --as-pid2',
    'SIGRTMIN+4 to the stub init powers off',
    ['-q', '-a', '--pipe'],
    [
      ...sh(
        'trap "echo told; exit 9" TERM; kill -s RTMIN+4 1 || kill -38 1; while :; do sleep 0.05; done',
      ),
    ],
  ),
  outcome(
    'COMMAND',
    'power-off inside is status 0',
    ['-q'],
    [...['perl', '-e', 'syscall 169, 0xfee1dead, 672274793, 0x4321fedc, 0; sleep 5']],
  ),
  outcome(
    'COMMAND',
    'reboot inside is status 133 with --keep-unit',
    ['-q'],
    [...['perl', '-e', 'syscall 169, 0xfee1dead, 672274793, 0x1234567, 0; sleep 5']],
  ),
]

/** A shell script in place of an init. */
const init = (script: string) =>
  `printf '%s\\n' '#!/bin/sh' '${script}' > "$TREE/usr/sbin/init"; chmod +x "$TREE/usr/sbin/init"`

const boots: ParityCase[] = [
  outcome(
    '-b, --boot',
    'the words after the options are for the init',
    ['-q', '--boot'],
    ['3', '--x'],
    {
      prepare: init('echo "$0 $*"; exit 7'),
    },
  ),
  outcome('-b, --boot', 'is an init that says 133 itself a failure', ['-q', '-b'], [], {
    prepare: init('exit 133'),
  }),
  outcome('-b, --boot', 'SIGTERM becomes SIGRTMIN+3', ['-q', '--pipe', '-b'], [], {
    prepare: init('trap "echo halted; exit 3" 37; echo ready; while :; do sleep 0.05; done'),
    signal: { name: 'SIGTERM' },
  }),
  outcome(
    '-b, --boot',
    'with a signal to end of its own',
    ['-q', '--pipe', '-b', '--kill-signal=USR1'],
    [],
    {
      prepare: init('trap "echo halted; exit 3" USR1; echo ready; while :; do sleep 0.05; done'),
      signal: { name: 'SIGTERM' },
    },
  ),
  outcome('-b, --boot', 'is killed by a second SIGTERM', ['-q', '--pipe', '-b'], [], {
    prepare: init('trap : 37; echo ready; while :; do sleep 0.05; done'),
    signal: { name: 'SIGTERM', times: 2 },
  }),
  outcome('-b, --boot', 'three times ^] kills it', ['-q', '-b'], [], {
    prepare: init('echo ready; while :; do sleep 1; done'),
    terminal: {},
    input: '\u001d\u001d\u001d',
  }),
]

const hostId = existsSync('/etc/machine-id') ? readFileSync('/etc/machine-id', 'utf8').trim() : ''
const withoutJournals = { prepare: 'rm -rf "$TREE/var/log/journal"' }

const journals: ParityCase[] = [
  outcome(
    '--link-journal=',
    'makes the directory of journals',
    ['-q'],
    ['ls', '/var/log'],
    withoutJournals,
  ),
  outcome(
    '-j',
    'links nothing where host and container have one ID, and goes on',
    ['-q', '-j', `--uuid=${hostId}`],
    ['ls', '/var/log'],
    withoutJournals,
  ),
  outcome(
    '-j',
    'makes no directory in a throw-away copy',
    ['-q', '-j', '-x'],
    ['ls', '/var/log'],
    withoutJournals,
  ),
  outcome(
    '--link-journal=',
    'makes none in a read-only tree',
    ['-q', '--read-only'],
    ['ls', '/var/log'],
    withoutJournals,
  ),
  outcome(
    '--link-journal=',
    'makes none when it is off',
    ['-q', '--link-journal=no'],
    ['ls', '/var/log'],
    withoutJournals,
  ),
]

const signals: ParityCase[] = [
  outcome(
    '--kill-signal=',
    'without it SIGTERM ends the container at once',
    ['-q', '--pipe'],
    untilKilled,
    {
      signal: { name: 'SIGTERM' },
    },
  ),
  outcome('--kill-signal=', 'without it SIGINT does too', ['-q', '--pipe'], untilKilled, {
    signal: { name: 'SIGINT' },
  }),
  outcome(
    '--kill-signal=',
    'is sent on SIGTERM',
    ['-q', '--pipe', '--kill-signal=SIGUSR1'],
    trapped('USR1'),
    {
      signal: { name: 'SIGTERM' },
    },
  ),
  outcome(
    '--kill-signal=',
    'is sent on SIGINT, and known without SIG',
    ['-q', '--pipe', '--kill-signal=TERM'],
    trapped('TERM'),
    {
      signal: { name: 'SIGINT' },
    },
  ),
  outcome(
    '--kill-signal=',
    'of a stub init ends its payload, and is a shutdown',
    ['-q', '--pipe', '-a', '--kill-signal=RTMIN+3'],
    trapped('TERM'),
    { signal: { name: 'SIGTERM' } },
  ),
  outcome(
    '--kill-signal=',
    'a second SIGTERM ends what does not obey',
    ['-q', '--pipe', '--kill-signal=SIGUSR1'],
    [...sh('trap "echo caught" USR1; echo ready; while :; do sleep 0.05; done')],
    { signal: { name: 'SIGTERM', times: 3 } },
  ),
]

const terminals: ParityCase[] = [
  outcome('--console=', 'three times ^] ends the container', ['-q'], untilKilled, {
    terminal: {},
    input: '\u001d\u001d\u001d',
  }),
  outcome(
    '--console=',
    'what is typed reaches the payload',
    ['-q'],
    sh('echo ready; read line; echo "got $line"'),
    {
      terminal: {},
      input: 'words\n',
    },
  ),
  outcome(
    '--console=',
    'input does not pass in read-only mode',
    ['-q', '--console=read-only'],
    // Of bash, for dash has no `read -t`; long enough for what is typed to be echoed before it ends.
    ['bash', '-c', 'echo ready; read -t 3 line || echo nothing'],
    { terminal: {}, input: 'words\n' },
  ),
]

const lists: ParityCase[] = [
  ...['--console=help', '--resolv-conf=help', '--timezone=help', '--volatile=help'].map((option) =>
    outcome(option.replace('help', ''), 'help lists the values', [option], []),
  ),
  outcome(
    '--private-users-ownership=',
    'help lists the values',
    ['--private-users-ownership=help'],
    [],
  ),
  outcome('--rlimit=', 'help lists the values', ['--rlimit=help'], []),
  // Not --kill-signal=help: the list of the original begins with 0, which it refuses.
]

const refusals: ParityCase[] = [
  refusal('-b, --boot', 'a tree without an init', ['-q', '--boot'], /sbin\/init/),
  refusal('-b, --boot', 'a tree without an os-release file', ['-q', '-b'], /os-release/, {
    prepare: 'rm -f "$TREE/etc/os-release" "$TREE/usr/lib/os-release"',
  }),
  refusal('-b, --boot', 'together with a stub init', ['-b', '-a'], /--boot and --as-pid2/),
  refusal(
    '-b, --boot',
    'with ambient capabilities',
    ['-b', '--ambient-capability=CAP_CHOWN'],
    /boot/,
  ),
  refusal('--pivot-root=', 'a relative path', ['--pivot-root=inner'], /inner/),
  refusal('--pivot-root=', 'a directory that is not there', ['--pivot-root=/nowhere'], /nowhere/),
  refusal('--pivot-root=', 'a place that is not there', ['--pivot-root=/:/nowhere'], /nowhere/),
  refusal(
    '--link-journal=',
    'a throw-away copy',
    ['-x', '--link-journal=host'],
    /--link-journal=host/,
  ),
  refusal(
    '--link-journal=',
    'the machine ID of the host',
    ['--link-journal=host', `--uuid=${hostId}`],
    /ids are equal/,
  ),
  refusal('COMMAND', 'a program that is not there', ['-q'], /no-such-program/, {
    command: ['no-such-program'],
  }),
  refusal('COMMAND', 'a program that cannot be executed', ['-q'], /passwd/, {
    command: ['/etc/passwd'],
  }),
  refusal(
    '-D, --directory=',
    'a tree that is not there',
    ['-D', '/no/such/tree'],
    /\/no\/such\/tree/,
  ),
  refusal(
    '-D, --directory=',
    'a tree without /usr',
    ({ files }) => ['-D', `${files}/empty`],
    /empty.*usr/s,
  ),
  refusal('-D, --directory=', 'a file', ({ files }) => ['-D', `${files}/file`], /file/),
  refusal('--network-interface=', 'none of the host', ['--network-interface=nope0'], /nope0/),
  refusal('--network-macvlan=', 'no name', ['--network-macvlan=a/b'], /--network-macvlan=a.b/),
  refusal('--network-ipvlan=', 'no name', ['--network-ipvlan='], /--network-ipvlan=/),
  refusal('-n, --network-veth', 'with a value', ['--network-veth=x'], /--network-veth/),
  refusal('--network-veth-extra=', 'three', ['--network-veth-extra=a:b:c'], /extra=a:b:c/),
  refusal('--network-bridge=', 'no name', ['--network-bridge=a/b'], /--network-bridge=a.b/),
  refusal('--network-zone=', 'too long', ['--network-zone=a123456789012'], /zone=a1234/),
  refusal('--network-zone=', 'and a bridge', ['--network-zone=a', '--network-bridge=b'], /zone=/),
  refusal(
    '--network-namespace-path=',
    'another file',
    ['--network-namespace-path=/etc/passwd'],
    /passwd/,
  ),
  refusal('-p, --port=', 'nought', ['--private-network', '-p', '0'], /-p 0/),
  refusal('-p, --port=', 'twice', ['--private-network', '-p1:2', '-p1:3'], /port 1 /),
  refusal('-p, --port=', 'of the network of the host', ['-p', '80'], /private networking/),
  refusal('-i, --image=', 'beside a directory', ['-i', '/x.raw'], /--image=/),
  refusal('--root-hash=', 'too short', ['--root-hash=abc'], /--root-hash=abc/),
  refusal('--root-hash-sig=', 'no base64', ['--root-hash-sig=base64:!'], /--root-hash-sig=/),
  refusal('-D, --directory=', 'the root directory', ['-D', '/'], /root directory/),
  refusal(
    '-D, --directory=',
    'no tree at all',
    ({ files }) => ['-D', `${files}/none`, '--template=/no/such'],
    /no\/such/,
  ),
  refusal('-M, --machine=', 'a name that no host may have', ['-M', 'not valid'], /not valid/),
  refusal(
    '-M, --machine=',
    'an image that is not there',
    ['-M', 'no-such-machine'],
    /no-such-machine/,
    {
      ownRoot: true,
    },
  ),
  refusal('--hostname=', 'a name that no host may have', ['--hostname=-x-'], /-x-/),
  refusal('--uuid=', 'zeroes', ['--uuid=00000000000000000000000000000000'], /UUID|zero/i),
  refusal('--uuid=', 'no UUID', ['--uuid=xyz'], /xyz/),
  refusal('-u, --user=', 'a user that is not there', ['-u', 'no-such-user'], /no-such-user/),
  refusal('-E, --setenv=', 'a name that is none', ['-E', '1=2'], /1=2/),
  refusal(
    '--chdir=',
    'a directory that is not there',
    ['--chdir=/no/such/directory'],
    /\/no\/such\/directory/,
  ),
  refusal('--chdir=', 'a relative path', ['--chdir=relative'], /relative/),
  refusal('--kill-signal=', 'no signal', ['--kill-signal=NOSUCH'], /NOSUCH/),
  refusal('--private-users=', 'no mode and no number', ['--private-users=sometimes'], /sometimes/),
  refusal('--private-users=', 'a range of nothing', ['--private-users=65536:0'], /0/),
  refusal(
    '--private-users=',
    'a range past the end',
    ['--private-users=4294901760:65537'],
    /4294901760|range/i,
  ),
  refusal('--private-users-ownership=', 'no mode', ['--private-users-ownership=mine'], /mine/),
  refusal(
    '--private-users-ownership=',
    'chown of a read-only tree',
    [...['--private-users=655360', '--private-users-ownership=chown', '--read-only']],
    /chown|ownership|read-only/i,
  ),
  refusal('--volatile=', 'no mode', ['--volatile=often'], /often/),
  refusal('--volatile=', 'yes without a merged /usr', ['--volatile=yes'], /bin|usr/, {
    prepare: 'rm "$TREE/bin"; mkdir "$TREE/bin"',
  }),
  refusal(
    '-x, --ephemeral',
    'together with a template',
    ({ tree }) => ['-x', `--template=${tree}`],
    /template/,
  ),
  refusal('-a, --as-pid2', 'together with --boot', ['-a', '-b'], /boot/),
  refusal('--capability=', 'no capability', ['--capability=CAP_FLY'], /CAP_FLY/),
  refusal('--drop-capability=', 'no capability', ['--drop-capability=CAP_FLY'], /CAP_FLY/),
  refusal(
    '--ambient-capability=',
    'outside the kept set',
    ['--ambient-capability=CAP_SYS_TIME'],
    /ambient/i,
  ),
  refusal('--no-new-privileges=', 'no boolean', ['--no-new-privileges=maybe'], /maybe/),
  refusal('--rlimit=', 'no limit', ['--rlimit=NOSUCH=1'], /NOSUCH/),
  refusal('--rlimit=', 'soft above hard', ['--rlimit=NOFILE=20:10'], /NOFILE|20:10/),
  refusal(
    '--bind=',
    'a source that is not there',
    ['--bind=/no/such/source:/mnt'],
    /\/no\/such\/source/,
  ),
  refusal('--bind=', 'a relative destination', ['--bind=/usr:relative'], /relative/),
  refusal('--bind=', 'an option that is none', ['--bind=/usr:/mnt:fast'], /fast/),
  refusal('--bind=', 'a directory on a file', ['--bind=/usr:/etc/passwd'], /passwd/),
  refusal('--bind=', 'a file on a directory', ['--bind=/etc/passwd:/mnt'], /mnt/),
  refusal(
    '--bind=',
    'idmap without a user namespace',
    ['--bind=/usr:/mnt:idmap'],
    /mnt|user namespace/i,
  ),
  refusal('--tmpfs=', 'a relative path', ['--tmpfs=relative'], /relative/),
  refusal('--tmpfs=', 'options that are none', ['--tmpfs=/mnt:nosuchoption=1'], /mnt/),
  refusal(
    '--inaccessible=',
    'a path that is not there',
    ['--inaccessible=/no/such/path'],
    /\/no\/such\/path/,
  ),
  refusal('--overlay=', 'one directory', ['--overlay=/usr'], /overlay/i),
  refusal(
    '--overlay=',
    'a lower that is not there',
    ({ files }) => ['--overlay', `/no/such/lower:${files}/upper:/mnt`],
    /mnt|\/no\/such\/lower/,
  ),
  refusal('--console=', 'no mode', ['--console=loud'], /loud/),
  refusal('--resolv-conf=', 'no mode', ['--resolv-conf=copy-paste'], /copy-paste/),
  refusal('--timezone=', 'no mode', ['--timezone=summer'], /summer/),
  refusal('--suppress-sync=', 'no boolean', ['--suppress-sync=maybe'], /maybe/),
  refusal('OPTIONS', 'an unknown long option', ['--no-such-option'], /no-such-option/),
  refusal('OPTIONS', 'an unknown short option', ['-y'], /y/),
  refusal('OPTIONS', 'an abbreviation of several', ['--private=no'], /--private/),
  refusal('OPTIONS', 'a missing value', ['--bind'], /bind/, { command: [] }),
  refusal('OPTIONS', 'a value where there is none', ['--quiet=yes'], /quiet/),
  outcome(
    'OPTIONS',
    'an unambiguous abbreviation',
    ['--qui', '--kill=TERM', '--pip'],
    ['echo', 'x'],
  ),
  outcome('OPTIONS', 'short options together', ['-qa', '-P'], ['echo', 'x']),
]

export const outcomeCases: readonly ParityCase[] = [
  ...statuses,
  ...boots,
  ...journals,
  ...signals,
  ...terminals,
  ...lists,
  ...refusals,
]
