import { describe, expect, test } from 'vitest'
import { describeError, NspawnError } from '../../../src/errors.ts'
import { parseCommandLine } from '../../fixtures/command-line.ts'
import { defaultSettings, type Settings } from '../../../src/settings/settings.ts'
import { byLetter, byName, options } from '../../../src/settings/table.ts'

const invocation = { cwd: '/home/me', env: { HERE: 'from the caller' }, version: '1.2.3' }
const parse = (...argv: string[]) => parseCommandLine(argv, invocation)

function run(...argv: string[]) {
  const result = parse(...argv)
  if (result.kind !== 'run') throw new Error(`printed ${result.text}`)
  return result
}
const settings = (...argv: string[]) => run(...argv).settings

function failure(...argv: string[]): NspawnError {
  try {
    parse(...argv)
  } catch (error) {
    if (error instanceof NspawnError) return error
    throw error
  }
  throw new Error(`${argv.join(' ')} was accepted`)
}

/** The message of a failure, or nothing. */
function attempt(...argv: string[]): string {
  try {
    parse(...argv)
    return ''
  } catch (error) {
    return describeError(error)
  }
}

describe('the end of the options', () => {
  test('without any word the defaults hold, on the current directory', () => {
    expect(run()).toEqual({
      kind: 'run',
      settings: defaultSettings(),
      program: {
        printPlan: false,
        cleanUp: false,
        machinesDirectory: undefined,
        settingsFile: 'yes',
        debug: false,
      },
      events: [],
    })
  })
  test('options behind the first other word belong to the command', () => {
    const { root, command, quiet } = settings('-D', '/t', 'ls', '-q', '--', '-l')
    expect(root).toEqual({ kind: 'directory', path: '/t' })
    expect(command).toEqual(['ls', '-q', '--', '-l'])
    expect(quiet).toBe(false)
  })
  test('two dashes end the options and are dropped once', () => {
    expect(settings('-q', '--', '-D', '--').command).toEqual(['-D', '--'])
  })
  test('a single dash and an empty word are ordinary words', () => {
    expect(settings('-', '-q').command).toEqual(['-', '-q'])
    expect(settings('', '-q').command).toEqual(['', '-q'])
  })
})

describe('values', () => {
  test.each([
    [['--directory=/t']],
    [['--directory', '/t']],
    [['-D', '/t']],
    [['-D/t']],
    [['-xqD/t']],
    [['-xqD', '/t']],
    [['--dir=/t']],
    [['--di', '/t']],
    [['-D', '/other', '-D', '/t']],
  ])('%j names the directory /t', (argv) => {
    expect(settings(...argv).root).toEqual({ kind: 'directory', path: '/t' })
  })
  test('a value may look like an option, and may be empty', () => {
    expect(settings('-E', 'A=-x', '-u', '-q')).toMatchObject({ user: '-q', quiet: false })
    expect(settings('--machine=', '--hostname', '').machine).toBeUndefined()
    expect(settings('-M', 'a', '-M', '').machine).toBeUndefined()
    expect(settings('-D', '/t', '--directory=').root).toEqual({ kind: 'current-directory' })
  })
  test('a letter takes what follows as its value, an equals sign included', () => {
    expect(settings('-D=t').root).toEqual({ kind: 'directory', path: '/home/me/=t' })
  })
  test('an optional value is never the next word', () => {
    expect(settings('--volatile', 'state')).toMatchObject({ volatile: 'yes', command: ['state'] })
    expect(settings('--volatile=state')).toMatchObject({ volatile: 'state', command: [] })
    expect(settings('--private-users', 'pick')).toMatchObject({ privateUsers: { mode: 'owner' } })
  })
  test('relative paths are taken against the current directory', () => {
    expect(settings('-D', 'a//./b').root).toEqual({ kind: 'directory', path: '/home/me/a/b' })
    expect(run('--machines-dir=m').program.machinesDirectory).toBe('/home/me/m')
  })
})

describe('names', () => {
  test('every long name can be written out, whatever other name begins with it', () => {
    for (const [name, option] of byName) {
      const word = option.value === 'none' ? `--${name}` : `--${name}=\u0001`
      expect(attempt(word)).not.toMatch(/unknown option|ambiguous/)
    }
  })
  test('other names of the same option are not ambiguous', () => {
    expect(settings('--uid=1').user).toBe('1')
    expect(settings('--use=1').user).toBe('1')
    expect(settings('--ui=1').user).toBe('1')
  })
  test('an ambiguous name lists what it may be', () => {
    expect(failure('--no').message).toBe('option --no is ambiguous')
    expect(failure('--no').hint).toBe(
      'it may be --no-pager, --no-ask-password, --notify-ready, --no-new-privileges',
    )
    expect(failure('--u').hint).toBe('it may be --user, --uid, --uuid')
    expect(failure('--=x').message).toBe('option -- is ambiguous')
  })
  test.each([
    ['--diretory=x', 'unknown option --diretory', 'did you mean --directory?'],
    ['--private-netwrok', 'unknown option --private-netwrok', 'did you mean --private-network?'],
    ['--Quiet', 'unknown option --Quiet', 'did you mean --quiet?'],
    ['--frobnicate', 'unknown option --frobnicate', '--help lists the options'],
    ['-y', 'unknown option -y', '--help lists the options'],
    ['-q?', 'unknown option -?', '--help lists the options'],
    ['-D', 'option --directory= needs a value', 'it is a PATH'],
    ['--directory', 'option --directory= needs a value', 'it is a PATH'],
    ['--read-only=1', 'option --read-only does not take a value', 'write --read-only alone'],
    ['--rea=', 'option --read-only does not take a value', 'write --rea alone'],
  ])('%s: %s', (word, message, hint) => {
    expect(failure(word)).toMatchObject({ code: 'USAGE', message, hint })
  })
  test('no long name and no letter stands for two options', () => {
    const names = options.flatMap(({ name, aliases = [] }) =>
      name === undefined ? [] : [name, ...aliases],
    )
    expect(byName.size).toBe(names.length)
    expect(byLetter.size).toBe(options.filter(({ short }) => short !== undefined).length)
  })
})

describe('what is only printed', () => {
  test('help, from the first place it stands', () => {
    expect(parse('-q', '--help', '--nonsense')).toMatchObject({ kind: 'text' })
    expect(parse('-qh')).toEqual(parse('--help'))
  })
  test('the version', () => {
    expect(parse('--version')).toEqual({ kind: 'text', text: 'tsnspawn 1.2.3\n' })
  })
  test('a broken environment does not stand in the way of help', () => {
    const env = { SYSTEMD_NSPAWN_TMPFS_TMP: 'perhaps' }
    expect(parseCommandLine(['-h'], { ...invocation, env })).toMatchObject({ kind: 'text' })
  })
  test('what comes before help must be right', () => {
    expect(failure('--nonsense', '--help').message).toBe('unknown option --nonsense')
  })
  test('the names an option accepts', () => {
    expect(parse('--volatile=help')).toEqual({ kind: 'text', text: 'no\nyes\nstate\noverlay\n' })
    expect(parse('--console', 'help')).toMatchObject({ kind: 'text' })
  })
  test('every name that is listed is accepted', () => {
    for (const option of options) {
      for (const name of option.list?.() ?? []) {
        const value = option.name === 'rlimit' ? `${name}=0` : name
        const needs: Readonly<Record<string, readonly string[]>> = {
          'ambient-capability': ['--capability=all'],
          'network-setup': ['--network-veth'],
        }
        const more = needs[option.name ?? ''] ?? []
        expect(run(`--${option.name}=${value}`, ...more).kind).toBe('run')
      }
    }
  })
})

const plainNetwork = defaultSettings().network
const plainImage = defaultSettings().image
const onlyAbsent = { uses: ['absent'], readOnly: undefined, grow: undefined } as const

/** Every supported option with what it changes in the settings. */
const good: readonly [readonly string[], Partial<Settings>][] = [
  [['-q'], { quiet: true }],
  [['--no-ask-password'], { image: { ...plainImage, askPassphrase: false } }],
  [['-i', 'a/b.raw'], { root: { kind: 'image', path: '/home/me/a/b.raw' } }],
  [['-i', 'a', '--image='], {}],
  [
    ['--image-policy=~'],
    { image: { ...plainImage, policy: { partitions: {}, others: onlyAbsent } } },
  ],
  [['--root-hash', 'Ab'.repeat(16)], { image: { ...plainImage, rootHash: 'ab'.repeat(16) } }],
  [
    ['--root-hash-sig=base64:AAEC'],
    { image: { ...plainImage, rootHashSignature: { kind: 'value', base64: 'AAEC' } } },
  ],
  [['--verity-data=v'], { image: { ...plainImage, verityData: '/home/me/v' } }],
  [['--image-key-file=/k'], { image: { ...plainImage, keyFile: '/k' } }],
  [['--no-pager', '--system', '--settings=no', '--background='], {}],
  [['-M', 'web'], { machine: 'web', root: { kind: 'machine', name: 'web' } }],
  [['-D', '/t', '-M', 'web'], { machine: 'web', root: { kind: 'directory', path: '/t' } }],
  [['-x'], { ephemeral: true }],
  [['--read-only'], { access: 'read-only' }],
  [['--volatile=overlay'], { volatile: 'overlay' }],
  [['--volatile=off'], { volatile: 'no' }],
  [['-a'], { startMode: 'stub-init' }],
  [['-a', '-a'], { startMode: 'stub-init' }],
  // An init is asked to halt, not killed.
  [['-b', '3'], { startMode: 'boot', command: ['3'], killSignal: 37 }],
  [['--boot', '--kill-signal=TERM'], { startMode: 'boot', killSignal: 15 }],
  [['--pivot-root=/ostree/../x/'], { pivotRoot: { newRoot: '/ostree/../x', oldRoot: undefined } }],
  [['--pivot-root=/a\\:b:/old'], { pivotRoot: { newRoot: '/a:b', oldRoot: '/old' } }],
  [['--pivot-root=/a:'], { pivotRoot: { newRoot: '/a', oldRoot: undefined } }],
  [['--link-journal=host'], { linkJournal: 'host' }],
  [['--chdir=/srv'], { workingDirectory: '/srv' }],
  [
    ['-E', 'A=1', '-E', 'B=2', '-EA=3', '-EHERE'],
    {
      environment: [
        { name: 'A', value: '3' },
        { name: 'B', value: '2' },
        { name: 'HERE', value: 'from the caller' },
      ],
    },
  ],
  [['-u', 'joe'], { user: 'joe' }],
  [['--kill-signal=RTMIN+3'], { killSignal: 37 }],
  [['--notify-ready=yes'], { notifyReady: true }],
  [['--suppress-sync=on'], { suppressSync: true }],
  [['--hostname=a.b'], { hostname: 'a.b' }],
  [['--uuid=00112233-4455-6677-8899-aabbccddeeff'], { uuid: '00112233445566778899aabbccddeeff' }],
  [
    ['--set-credential=a:b', '--load-credential=c:/d'],
    {
      credentials: [
        { name: 'a', source: { kind: 'value', base64: 'Yg==' } },
        { name: 'c', source: { kind: 'file', path: '/d' } },
      ],
    },
  ],
  [
    ['--bind-user=a', '--bind-user=b', '--bind-user=a', '--bind-user-shell=/bin/zsh'],
    {
      bindUsers: { names: ['a', 'b'], shell: { kind: 'path', path: '/bin/zsh' }, groups: [] },
    },
  ],
  [
    ['--bind-user=a', '--bind-user-shell=yes', '--bind-user-group=g', '--bind-user-group=h'],
    { bindUsers: { names: ['a'], shell: { kind: 'host' }, groups: ['g', 'h'] } },
  ],
  [['--background=48;2;0;0;80'], { background: '48;2;0;0;80' }],
  [['--background=44', '--background='], {}],
  [['-Z', 'a:b:c:s0'], { selinux: { context: 'a:b:c:s0', apifsContext: undefined } }],
  [
    ['-Z', 'a', '-L', 'a:b:c:s0:c1,c2'],
    { selinux: { context: 'a', apifsContext: 'a:b:c:s0:c1,c2' } },
  ],
  [
    ['-U', '--private-users-delegate=0'],
    { privateUsers: { mode: 'pick', unsupported: 'skip' }, ownership: 'auto' },
  ],
  [
    ['--private-users=pick', '--private-users-ownership=foreign'],
    { privateUsers: { mode: 'pick' }, ownership: 'foreign' },
  ],
  [['-S', 'builds'], { slice: 'builds.slice' }],
  [['--property=A=1', '--property=B=2'], { properties: ['A=1', 'B=2'] }],
  [['--register=no'], { register: 'no' }],
  [['--register=auto'], { register: 'auto' }],
  [['--register=yes'], { register: 'yes' }],
  [['--keep-unit'], { keepUnit: true }],
  [['--private-users=pick'], { privateUsers: { mode: 'pick' }, ownership: 'auto' }],
  [['--private-users'], { privateUsers: { mode: 'owner' }, ownership: 'off' }],
  [
    ['--private-users=65536:10', '--private-users-ownership=map'],
    {
      privateUsers: { mode: 'range', base: 65536, length: 10 },
      ownership: 'map',
    },
  ],
  [
    ['--private-users=identity', '--private-users-chown=whatever'],
    {
      privateUsers: { mode: 'identity' },
      ownership: 'chown',
    },
  ],
  [['-U'], { privateUsers: { mode: 'pick', unsupported: 'skip' }, ownership: 'auto' }],
  [
    ['-U', '--private-users-ownership=chown'],
    {
      privateUsers: { mode: 'pick', unsupported: 'skip' },
      ownership: 'chown',
    },
  ],
  [['-U', '--private-users=no'], { privateUsers: { mode: 'no' }, ownership: 'off' }],
  [['--private-network'], { privateNetwork: true }],
  [['-n'], { privateNetwork: true, network: { ...plainNetwork, veth: true } }],
  [
    ['--network-veth', '--network-setup=auto', '--port=80', '-p', 'udp:53:5353'],
    {
      privateNetwork: true,
      network: {
        ...plainNetwork,
        ...{ veth: true, setup: 'auto' },
        ports: [
          { protocol: 'tcp', hostPort: 80, containerPort: 80 },
          { protocol: 'udp', hostPort: 53, containerPort: 5353 },
        ],
      },
    },
  ],
  [
    ['--network-interface=a:b c', '--network-interface=d'],
    {
      privateNetwork: true,
      network: {
        ...plainNetwork,
        interfaces: [{ host: 'a', container: 'b' }, { host: 'c' }, { host: 'd' }] as never,
      },
    },
  ],
  [
    ['--network-macvlan=a', '--network-ipvlan=b', '--network-veth-extra=c'],
    {
      privateNetwork: true,
      network: {
        ...plainNetwork,
        ...({ macvlans: [{ host: 'a' }], ipvlans: [{ host: 'b' }] } as object),
        extraVeths: [{ host: 'c', container: 'c' }],
      },
    },
  ],
  [['--network-bridge=br0'], { privateNetwork: true, network: { ...plainNetwork, bridge: 'br0' } }],
  [['--network-zone=a'], { privateNetwork: true, network: { ...plainNetwork, zone: 'vz-a' } }],
  [
    ['--network-namespace-path=/run/netns/x'],
    { network: { ...plainNetwork, namespacePath: '/run/netns/x' } },
  ],
  [
    [
      '--capability=cap_syslog,15',
      '--capability=cap_syslog',
      '--drop-capability=CAP_MKNOD',
      '--ambient-capability=cap_chown',
    ],
    {
      capabilities: {
        add: ['CAP_SYSLOG', 'CAP_IPC_OWNER'],
        drop: ['CAP_MKNOD'],
        ambient: ['CAP_CHOWN'],
      },
    },
  ],
  [['--no-new-privileges=1'], { noNewPrivileges: true }],
  [
    [
      '--system-call-filter=@keyring bpf',
      '--system-call-filter=~@mount',
      '--system-call-filter=bpf',
    ],
    {
      systemCallFilter: { allow: ['@keyring', 'bpf'], deny: ['@mount'] },
    },
  ],
  [
    ['--rlimit=NOFILE=1:2', '--rlimit=CPU=3', '--rlimit=RLIMIT_NOFILE=4'],
    {
      resourceLimits: { NOFILE: { soft: 4, hard: 4 }, CPU: { soft: 3, hard: 3 } },
    },
  ],
  [['--oom-score-adjust=-1000'], { oomScoreAdjust: -1000 }],
  [['--cpu-affinity=0-1'], { cpuAffinity: [0, 1] }],
  [['--cpu-affinity=0-1', '--cpu-affinity='], { cpuAffinity: undefined }],
  [['--personality=x86'], { personality: 'x86' }],
  [['--resolv-conf=copy-host'], { resolvConf: 'copy-host' }],
  [['--resolv-conf=no'], { resolvConf: 'off' }],
  [['--timezone=bind'], { timezone: 'bind' }],
  [['--timezone=yes'], { timezone: 'auto' }],
  [['--link-journal=no'], { linkJournal: 'no' }],
  [['--link-journal=yes'], { linkJournal: 'auto' }],
  [['--link-journal=try-host'], { linkJournal: 'try-host' }],
  [['-j'], { linkJournal: 'try-guest' }],
  [
    ['--tmpfs=/a', '--inaccessible=/b'],
    {
      mounts: [
        { kind: 'tmpfs', destination: '/a', options: 'mode=0755' },
        { kind: 'inaccessible', destination: '/b' },
      ],
    },
  ],
  [
    ['--bind=x:/y', '--bind-ro=/z'],
    {
      mounts: [
        {
          kind: 'bind',
          source: { kind: 'host', path: '/home/me/x' },
          destination: '/y',
          access: 'read-write',
          recursive: true,
          idMap: 'noidmap',
        },
        {
          kind: 'bind',
          source: { kind: 'host', path: '/z' },
          destination: '/z',
          access: 'read-only',
          recursive: true,
          idMap: 'noidmap',
        },
      ],
    },
  ],
  [
    ['--overlay=/l:/u', '--overlay-ro=/l:/u:/d'],
    {
      mounts: [
        {
          kind: 'overlay',
          lowers: [{ kind: 'host', path: '/l' }],
          upper: { kind: 'host', path: '/u' },
          destination: '/u',
          access: 'read-write',
        },
        {
          kind: 'overlay',
          lowers: [{ kind: 'host', path: '/l' }],
          upper: { kind: 'host', path: '/u' },
          destination: '/d',
          access: 'read-only',
        },
      ],
    },
  ],
  [['--console=read-only'], { console: 'read-only' }],
  [['--console=autopipe'], { console: 'autopipe', quiet: false }],
  [['-P'], { console: 'pipe', quiet: true }],
]

test.each(good)('%j changes just what it says', (argv, changes) => {
  expect(settings(...argv)).toEqual({ ...defaultSettings(), ...changes })
})

test.each(['--print-plan', '--debug'])('%s is about the program, not the container', (word) => {
  const { settings: same, program } = run(word)
  expect(same).toEqual(defaultSettings())
  expect(Object.values(program)).toContain(true)
})

test('the settings are plain JSON, so that they can be sent to another process', () => {
  for (const [argv] of good) {
    const value = settings(...argv)
    expect(JSON.parse(JSON.stringify(value))).toEqual(withoutUndefined(value))
  }
})

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [key, withoutUndefined(inner)]),
  )
}

test('every supported option is covered above, or has a test of its own', () => {
  const words = good.flatMap(([argv]) => argv)
  const untested = options.filter(
    ({ name, short, read }) =>
      read !== undefined &&
      !words.some(
        (word) =>
          word.startsWith(`--${name}`) || (short !== undefined && word.startsWith(`-${short}`)),
      ),
  )
  expect(untested.map(({ name }) => name)).toEqual([
    'help',
    'version',
    'cleanup',
    'share-system',
    'template',
    'oci-bundle',
    'print-plan',
    'machines-dir',
    'debug',
  ])
})

describe('what systemd-nspawn has and this version has not', () => {
  test.each([
    ['--mstack=x'],
    ['--forward-journal=x'],
    ['--forward-journal-max-use=1'],
    ['--forward-journal-keep-free=1'],
    ['--forward-journal-max-file-size=1'],
    ['--forward-journal-max-files=1'],
    ['--private-users=managed'],
  ])('%j %s is refused by name, with something to do instead', (...argv) => {
    const error = failure(...argv.filter((word) => word !== undefined))
    expect(error.code).toBe('NOT_SUPPORTED')
    expect(error.message).toMatch(/ is not supported by this version of tsnspawn$/)
    expect(error.hint).toBeTruthy()
  })
  test('the message names the option as it is documented, however it was written', () => {
    expect(failure('--mstack', 'x').message).toBe(
      'option --mstack= is not supported by this version of tsnspawn',
    )
  })
})

// systemd-nspawn 252 refuses each of these as well.
test.each([
  ['--settings=perhaps'],
  ['--settings='],
  ['--volatile='],
  ['--pivot-root='],
  ['--pivot-root=usr'],
  ['--pivot-root=/usr:old'],
  ['-a', '-b'],
  ['--boot', '--as-pid2'],
  ['--volatile=some'],
  ['--chdir='],
  ['--chdir=x'],
  ['-E', 'A-B=c'],
  ['--kill-signal='],
  ['--kill-signal=NOPE'],
  ['--notify-ready='],
  ['--suppress-sync='],
  ['-M', 'a_b'],
  ['--hostname=a..b'],
  ['--uuid='],
  ['--slice='],
  ['--register='],
  ['--private-users='],
  ['--private-users-ownership='],
  ['--capability=nope'],
  ['--drop-capability=nope'],
  ['--ambient-capability=all'],
  ['--ambient-capability=nope'],
  ['--no-new-privileges='],
  ['--rlimit='],
  ['--rlimit=NOFILE'],
  ['--oom-score-adjust='],
  ['--oom-score-adjust=1001'],
  ['--oom-score-adjust=5x'],
  ['--cpu-affinity=a'],
  ['--personality='],
  ['--personality=vax'],
  ['--resolv-conf='],
  ['--resolv-conf=copy'],
  ['--timezone=later'],
  ['--link-journal=try-auto'],
  ['--bind='],
  ['--bind-ro=a'],
  ['--tmpfs=a'],
  ['--overlay=/a'],
  ['--overlay-ro=/a:'],
  ['--inaccessible=a'],
  ['--console='],
  ['--background=blue'],
  ['--private-users-delegate='],
  ['--private-users-delegate=1'],
  ['-Z', ''],
  ['-L', 'a b'],
  ['--bind-user='],
  ['--bind-user=1000'],
  ['--bind-user-shell=zsh'],
  ['--bind-user-shell=yes'],
  ['--bind-user-group='],
  ['--bind-user-group=sudo'],
  ['--set-credential=a'],
  ['--load-credential=a:b'],
  ['--console=Pipe'],
])('%j %s is refused before anything is done', (...argv) => {
  const words = argv.filter((word) => word !== undefined)
  const error = failure(...words)
  expect(error.code).toBe('USAGE')
  expect(error.message).toContain(words[0]?.split('=')[0])
})

test('an error shows the option and value as they were written, and what to try', () => {
  expect(describeError(failure('--rlim=nofile=1'))).toBe(
    'cannot read --rlim=nofile=1: there is no resource limit "nofile"\n  hint: did you mean NOFILE?',
  )
  expect(describeError(failure('-M', 'a_b'))).toBe(
    'cannot read -M a_b: invalid machine name "a_b"\n  hint: use letters, digits and inner hyphens, in labels separated by dots, 64 characters at most',
  )
})

test('a word with a NUL, which no program can be given, is refused', () => {
  expect(failure('-D', '/t', 'a\0b').message).toContain('NUL')
})

describe('any words at all', () => {
  /** Numbers that look random and are the same in each run (mulberry32). */
  function seeded(seed: number): (below: number) => number {
    let state = seed
    return (below) => {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) % below
    }
  }
  const pieces = [
    ...[...byName.keys()].map((name) => `--${name}`),
    ...[...byLetter.keys()].map((letter) => `-${letter}`),
    '=',
    ':',
    '/',
    '+',
    '\\',
    ',',
    '~',
    '@',
    '-',
    '--',
    ' ',
    '',
    'a',
    'no',
    'yes',
    'help',
    'all',
    'infinity',
    '0',
    '1',
    '-1',
    '65536',
    '4294967295',
    '99999999999999999999',
    '0x',
    'CAP_',
    'NOFILE',
    'RTMIN+',
    '/a',
    'ä',
    '\u{1f600}',
    '\ud800',
    '\0',
    '\n',
    '__proto__',
    'constructor',
    'x'.repeat(300),
  ]
  test.each([1, 2, 3])('give settings or an NspawnError, never another error (seed %i)', (seed) => {
    const below = seeded(seed)
    const outcomes = { run: 0, text: 0, refused: 0 }
    for (let round = 0; round < 1500; round++) {
      const argv = Array.from({ length: below(5) }, () =>
        Array.from({ length: 1 + below(4) }, () => pieces[below(pieces.length)] ?? '').join(''),
      )
      try {
        outcomes[parse(...argv).kind]++
      } catch (error) {
        if (!(error instanceof NspawnError)) throw new Error(JSON.stringify(argv), { cause: error })
        outcomes.refused++
      }
    }
    // All three must have been met, or the words have become too odd to test anything.
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(0)
  })
})
