import { describe, expect, test } from 'vitest'
import { describeError, NspawnError } from '../../../../src/errors.ts'
import { readCommandLine } from '../../../../src/settings/argv.ts'
import { byFileKey, fileKeys } from '../../../../src/settings/file/keys.ts'
import { parseSettingsFile } from '../../../../src/settings/file/settings-file.ts'
import { startModeKeys } from '../../../../src/settings/file/start-mode.ts'
import { defaultSettings, type Settings } from '../../../../src/settings/settings.ts'
import { options } from '../../../../src/settings/table.ts'

const path = '/run/systemd/nspawn/m.nspawn'
const env = { FOO: 'from the caller' }

interface Merged {
  readonly settings: Settings
  readonly warnings: readonly string[]
}

function merged(text: string | Uint8Array, argv: readonly string[] = [], trusted = true): Merged {
  const line = readCommandLine(argv, { cwd: '/home/me', env, version: '0' })
  if (line.kind === 'text') throw new Error('printed something')
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  const { settings, events } = line.settle(parseSettingsFile({ path, bytes, trusted }, line.caller))
  const warnings = events.map((event) => {
    if (event.kind !== 'warning') throw new Error(`a ${event.kind}`)
    return event.text.replace(`${path}:`, '')
  })
  return { settings, warnings }
}

const exec = (...lines: string[]) => ['[Exec]', ...lines, ''].join('\n')
const files = (...lines: string[]) => ['[Files]', ...lines, ''].join('\n')
const network = (...lines: string[]) => ['[Network]', ...lines, ''].join('\n')

function refusal(text: string | Uint8Array, argv: readonly string[] = []): string {
  try {
    merged(text, argv)
  } catch (error) {
    if (error instanceof NspawnError) return describeError(error)
    throw error
  }
  throw new Error('the file was accepted')
}

test('an empty file changes nothing', () => {
  expect(merged('')).toEqual({ settings: defaultSettings(), warnings: [] })
})

describe('lines', () => {
  test('blanks around keys, values and lines do not count', () => {
    expect(merged(' [Exec]\t\n\t User =  bin \n').settings.user).toBe('bin')
  })
  test('comments begin with # or ;, and stand between continued lines too', () => {
    const text = exec('# User=bin', '  ;User=bin', 'Environment=A=1\\', '# B=9', '  C=3')
    expect(merged(text).settings.environment).toEqual([
      { name: 'A', value: '1' },
      { name: 'C', value: '3' },
    ])
  })
  test('a line ends in CR, LF or both, the last one in nothing', () => {
    expect(merged('[Exec]\r\nUser=bin\rHostname=h').settings).toMatchObject({
      user: 'bin',
      hostname: 'h',
    })
  })
  test('a backslash that is itself escaped continues nothing', () => {
    const { settings } = merged(exec('Environment=A=1\\\\', 'User=bin'))
    expect(settings.user).toBe('bin')
  })
  test('a byte order mark is passed over', () => {
    expect(merged(`\uFEFF${exec('User=bin')}`).settings.user).toBe('bin')
  })
  test.each([
    ['User=bin', '1: ignoring an assignment before the first section'],
    [exec('foo'), '2: ignoring a line without "=": foo'],
    [exec('= x'), '2: ignoring a value without a key'],
    [exec('Fo=1'), '2: ignoring unknown key Fo= in section [Exec]'],
    [exec('Usr=1'), '2: ignoring unknown key Usr= in section [Exec], did you mean User=?'],
    [exec('user=1'), '2: ignoring unknown key user= in section [Exec], did you mean User=?'],
    [files('User=1'), '2: ignoring unknown key User= in section [Files]'],
    [exec('boot=1'), '2: ignoring unknown key boot= in section [Exec], did you mean Boot=?'],
    ['[exec]\nfoo\nUser=bin', '1: ignoring unknown section [exec], did you mean [Exec]?'],
    ['[Unit]\nfoo\nUser=bin', '1: ignoring unknown section [Unit]'],
  ])('%j warns with file and line, and changes nothing', (text, warning) => {
    expect(merged(text)).toEqual({ settings: defaultSettings(), warnings: [warning] })
  })
  test('what is called X-… is for other programs', () => {
    expect(merged(`[X-Other]\nfoo\nA=1\n${exec('X-Foo=1')}`).warnings).toEqual([])
  })
  test('a warning never has control characters, nor endless text', () => {
    const { warnings } = merged(exec(`\u001b[2J${'x'.repeat(5000)}=1`))
    expect(warnings.join('')).not.toContain('\u001b')
    expect(warnings.join('').length).toBeLessThan(200)
  })
  test.each<[string, string | Uint8Array, RegExp]>([
    [
      'a section header without end',
      '[Exec\nUser=bin',
      /m\.nspawn:1: section header \[Exec has no/,
    ],
    ['bytes that are not UTF-8', Buffer.from('[Exec]\nUser=\xff', 'latin1'), /:2: not UTF-8 text/],
    ['more than 64 KiB', Buffer.alloc((1 << 16) + 1, 'x'), /longer than 64 KiB/],
  ])('%s ends the start', (_what, text, message) => {
    expect(refusal(text)).toMatch(message)
  })
})

describe('values', () => {
  test.each<[string, Partial<Settings>]>([
    [
      exec('ProcessTwo=yes', 'Parameters=a "b c"'),
      { startMode: 'stub-init', command: ['a', 'b c'] },
    ],
    [exec('Boot=no', 'Parameters=a', 'Parameters=b\\x "" '), { command: ['a', 'b\\x', ''] }],
    [exec('Boot=no', 'Parameters=a', 'Parameters=', 'Parameters=c'), { command: ['c'] }],
    [exec('Boot=yes', 'Parameters=a'), { startMode: 'boot', command: ['a'], killSignal: 37 }],
    [exec('Ephemeral=on'), { ephemeral: true }],
    [exec('User=1'), { user: '1' }],
    [exec('User=b%H'), { user: 'b%H' }],
    [exec('User=bin', 'User='), { user: undefined }],
    [exec('NoNewPrivileges=1'), { noNewPrivileges: true }],
    [exec('NoNewPrivileges=1', 'NoNewPrivileges='), { noNewPrivileges: false }],
    [exec('KillSignal=SIGRTMIN+3'), { killSignal: 37 }],
    [exec('Personality=x86'), { personality: 'x86' }],
    [
      exec('MachineID=11111111222233334444555555555555'),
      { uuid: '11111111222233334444555555555555' },
    ],
    [exec('PrivateUsers=0'), { privateUsers: { mode: 'no' } }],
    [exec('PrivateUsers=1'), { privateUsers: { mode: 'owner' } }],
    [exec('PrivateUsers=pick'), { privateUsers: { mode: 'pick' }, ownership: 'auto' }],
    [
      exec('PrivateUsers=131072:70000'),
      { privateUsers: { mode: 'range', base: 131072, length: 70000 } },
    ],
    [exec('NotifyReady=yes'), { notifyReady: true }],
    [exec('SuppressSync=yes'), { suppressSync: true }],
    [
      exec('SystemCallFilter=keyctl', 'SystemCallFilter=', 'SystemCallFilter=~@mount'),
      { systemCallFilter: { allow: ['keyctl'], deny: ['@mount'] } },
    ],
    [
      exec('LimitNOFILE=100:200', 'LimitCPU=1min'),
      { resourceLimits: { NOFILE: { soft: 100, hard: 200 }, CPU: { soft: 60, hard: 60 } } },
    ],
    [exec('OOMScoreAdjust=100'), { oomScoreAdjust: 100 }],
    [exec('CPUAffinity=3', 'CPUAffinity=0-1'), { cpuAffinity: [0, 1, 3] }],
    [exec('CPUAffinity=3', 'CPUAffinity=', 'CPUAffinity=1'), { cpuAffinity: [1] }],
    [
      exec('Hostname=h', 'ResolvConf=copy-host', 'Timezone=off'),
      { hostname: 'h', timezone: 'off' },
    ],
    [exec('WorkingDirectory=/usr'), { workingDirectory: '/usr' }],
    [
      exec('Capability=CAP_NET_ADMIN 21', 'Capability=', 'DropCapability=cap_kill'),
      {
        capabilities: { add: ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'], drop: ['CAP_KILL'], ambient: [] },
      },
    ],
    [files('ReadOnly=yes', 'Volatile=state'), { access: 'read-only', volatile: 'state' }],
    [files('PrivateUsersOwnership=map'), { ownership: 'off' }],
    [`${exec('PrivateUsers=131072')}${files('PrivateUsersChown=yes')}`, { ownership: 'chown' }],
    [network('Private=yes'), { privateNetwork: true }],
    [network('VirtualEthernet=no', 'Interface=', 'Bridge='), { privateNetwork: false }],
  ])('%j', (text, expected) => {
    const { settings, warnings } = merged(text)
    expect(settings).toMatchObject(expected)
    expect(warnings).toEqual([])
  })

  test('mounts are read as on the command line, in their order', () => {
    const text = files(
      ...['Bind=/a:/b:norbind', 'BindReadOnly=+/c', 'TemporaryFileSystem=/t:size=1m'],
      ...['Overlay=/l:/u', 'OverlayReadOnly=/l:/u:/d', 'Inaccessible=/x'],
    )
    const argv = ['--bind=/a:/b:norbind', '--bind-ro=+/c', '--tmpfs=/t:size=1m']
    const same = [...argv, '--overlay=/l:/u', '--overlay-ro=/l:/u:/d', '--inaccessible=/x']
    expect(merged(text).settings.mounts).toEqual(merged('', same).settings.mounts)
  })

  test('the environment takes quoted words, any name, and nothing from the caller', () => {
    const text = exec('Environment=A=1 "B=x y" 1=2 FOO', 'Environment="A=3"')
    expect(merged(text).settings.environment).toEqual([
      { name: 'B', value: 'x y' },
      { name: '1', value: '2' },
      { name: 'A', value: '3' },
    ])
    expect(merged(text).warnings).toEqual([
      '2: ignoring Environment=FOO: "FOO" is not written NAME=VALUE',
    ])
    expect(merged(exec('Environment=A=1', 'Environment=')).settings.environment).toEqual([])
  })

  test.each([
    [exec('Boot=maybe'), '2: ignoring Boot=maybe: "maybe" is neither yes nor no'],
    [exec('Boot='), '2: ignoring Boot=: "" is neither yes nor no'],
    [exec('Parameters=a'), ' Parameters= has no effect without Boot= or ProcessTwo='],
    [exec('Environment="A=1'), '2: ignoring the rest of Environment="A=1: a quote is not closed'],
    [exec('KillSignal='), '2: ignoring KillSignal=: there is no signal ""'],
    [exec('LimitCORE='), '2: ignoring LimitCORE=: "" is not a size such as 512M, or infinity'],
    [
      exec('Capability=CAP_KILL,CAP_CHOWN'),
      '2: ignoring Capability=CAP_KILL,CAP_CHOWN: "CAP_KILL,CAP_CHOWN" is no capability, separate them by blanks',
    ],
    [exec('Hostname=_'), '2: ignoring Hostname=_: invalid host name "_"'],
    [files('Volatile='), '2: ignoring Volatile=: "" is not one of no, yes, state, overlay'],
    [files('Bind=usr'), '2: ignoring Bind=usr: destination "usr" is not an absolute path'],
    [files('ReadOnly=q'), '2: ignoring ReadOnly=q: "q" is neither yes nor no'],
    [network('Private=q'), '2: ignoring Private=q: "q" is neither yes nor no'],
  ])('%j is passed over with file, line, key and value', (text, warning) => {
    expect(merged(text)).toEqual({ settings: defaultSettings(), warnings: [warning] })
  })

  test('one word that is wrong does not take the others of its line along', () => {
    expect(merged(exec('DropCapability=bogus CAP_KILL')).settings.capabilities.drop).toEqual([
      'CAP_KILL',
    ])
  })

  test.each([
    [exec('CPUAffinity=foo'), /cannot read CPUAffinity=foo in .*m\.nspawn:2: "foo" is not a proc/],
    [exec('AmbientCapability=all'), /cannot read AmbientCapability=all in .*m\.nspawn:2: /],
    [exec('AmbientCapability=CAP_NET_ADMIN'), /the container does not keep: CAP_NET_ADMIN/],
  ])('%j ends the start, as in systemd-nspawn', (text, message) => {
    expect(refusal(text)).toMatch(message)
  })

  test('links are of a network of its own, whatever is said of that', () => {
    const text = network('Private=no', 'Interface=a b:c', 'Zone=z', 'Port=80', 'VirtualEthernet=no')
    const { settings } = merged(text)
    expect(settings.privateNetwork).toBe(true)
    expect(settings.network).toMatchObject({
      interfaces: [{ host: 'a' }, { host: 'b', container: 'c' }],
      ...{ zone: 'vz-z', veth: false, ports: [{ protocol: 'tcp', hostPort: 80 }] },
    })
    expect(merged(network('VirtualEthernet=yes')).settings.network.veth).toBe(true)
    expect(merged(network('Private=no', 'Bridge=br0')).settings.privateNetwork).toBe(true)
  })

  test('of Boot= and ProcessTwo= the first one holds', () => {
    const { settings, warnings } = merged(exec('ProcessTwo=yes', 'Boot=no', 'Boot=yes'))
    expect(settings.startMode).toBe('stub-init')
    expect(warnings).toEqual(['4: ignoring Boot=yes: Boot= and ProcessTwo= contradict each other'])
  })

  test('every key of the settings table can be written', () => {
    const keys = options.flatMap((option) => option.keys ?? []).map((pair) => pair.join('.'))
    const start = startModeKeys.map((key) => `Exec.${key}`)
    expect(new Set([...byFileKey.keys(), ...start])).toEqual(new Set([...keys, 'Exec.Parameters']))
    expect(byFileKey.size).toBe(fileKeys.length)
  })
})

describe('precedence', () => {
  const text = exec('User=bin', 'Hostname=file', 'Environment=A=file')
  test('the command line masks the groups it says something about', () => {
    const { settings } = merged(text, ['-u', 'daemon', '-E', 'B=line'])
    expect(settings).toMatchObject({
      user: 'daemon',
      hostname: 'file',
      environment: [{ name: 'B', value: 'line' }],
    })
  })
  test('with override the file does, for what it sets', () => {
    const argv = ['--settings=override', '-u', 'daemon', '-E', 'B=line', '--chdir=/usr']
    expect(merged(text, argv).settings).toMatchObject({
      user: 'bin',
      hostname: 'file',
      environment: [{ name: 'A', value: 'file' }],
      workingDirectory: '/usr',
    })
  })
  test('a setting that the file takes back masks nothing', () => {
    const back = exec('Environment=A=1', 'Environment=')
    const argv = ['--settings=override', '-E', 'B=line']
    expect(merged(back, argv).settings.environment).toEqual([{ name: 'B', value: 'line' }])
  })
  test('a command masks start mode and parameters', () => {
    const start = exec('ProcessTwo=yes', 'Parameters=file')
    const plain = { startMode: 'command', command: ['line'] }
    const two = { startMode: 'stub-init', command: ['file'] }
    expect(merged(start, ['line']).settings).toMatchObject(plain)
    expect(merged(start, ['-a']).settings).toMatchObject({ startMode: 'stub-init', command: [] })
    expect(merged(start, ['--settings=override', 'line']).settings).toMatchObject(two)
    expect(merged(start).settings).toMatchObject(two)
  })
  test('resource limits are masked one by one', () => {
    const limits = exec('LimitNOFILE=100', 'LimitNPROC=1000')
    expect(merged(limits, ['--rlimit=RLIMIT_NOFILE=50']).settings.resourceLimits).toEqual({
      NOFILE: { soft: 50, hard: 50 },
      NPROC: { soft: 1000, hard: 1000 },
    })
  })
  test('mounts of one side replace all of the other', () => {
    const mounts = files('Bind=/file')
    const destinations = (argv: string[]) =>
      merged(mounts, argv).settings.mounts.map(({ destination }) => destination)
    expect(destinations(['--tmpfs=/line'])).toEqual(['/line'])
    expect(destinations(['--settings=override', '--tmpfs=/line'])).toEqual(['/file'])
  })
  test('no takes back what the command line said, with override', () => {
    const off = `${exec('Ephemeral=no')}${files('ReadOnly=no')}${network('Private=no')}`
    const argv = ['-x', '--read-only', '--private-network', '--capability=CAP_NET_ADMIN']
    expect(merged(off, ['--settings=override', ...argv]).settings).toMatchObject({
      ephemeral: false,
      access: 'read-write',
      privateNetwork: false,
      capabilities: { add: [] },
    })
    expect(merged(off, argv).settings).toMatchObject({
      ephemeral: true,
      access: 'read-only',
      privateNetwork: true,
      capabilities: { add: ['CAP_NET_ADMIN'] },
    })
  })
  test('with override capabilities of both add up, the file last', () => {
    const caps = exec('Capability=CAP_NET_ADMIN', 'DropCapability=CAP_SYS_MODULE')
    const argv = ['--capability=CAP_SYS_MODULE', '--drop-capability=CAP_NET_ADMIN,CAP_KILL']
    expect(merged(caps, ['--settings=override', ...argv]).settings.capabilities).toEqual({
      add: ['CAP_SYS_MODULE', 'CAP_NET_ADMIN'],
      drop: ['CAP_KILL', 'CAP_SYS_MODULE'],
      ambient: [],
    })
    expect(merged(caps, argv).settings.capabilities.add).toEqual(['CAP_SYS_MODULE'])
  })
  test('ownership in the file alone means no user namespace, and beats -U with override', () => {
    const own = files('PrivateUsersOwnership=map')
    expect(merged(own, ['-U']).settings.privateUsers.mode).toBe('pick')
    expect(merged(own, ['--settings=override', '-U']).settings.privateUsers.mode).toBe('no')
  })
  test('one option for the network masks all of its keys', () => {
    const { settings } = merged(network('Bridge=br0'), ['--private-network'])
    expect(settings.network.bridge).toBeUndefined()
  })
  test('what contradicts itself only together is refused', () => {
    const own = exec('PrivateUsers=131072') + files('PrivateUsersOwnership=chown')
    expect(refusal(own, ['--read-only'])).toMatch(/may not be combined/)
  })
})

describe('trust', () => {
  test('of an untrusted file only what gives no privileges is heard', () => {
    const text =
      exec('ProcessTwo=yes', 'Parameters=x', 'User=bin', 'DropCapability=CAP_KILL', 'Hostname=h') +
      exec(
        'Capability=CAP_NET_ADMIN',
        'AmbientCapability=CAP_CHOWN',
        'MachineID=11111111222233334444555555555555',
        'Ephemeral=1',
      ) +
      exec('PrivateUsers=pick', 'LimitNOFILE=1', 'OOMScoreAdjust=1', 'CPUAffinity=0') +
      exec('LinkJournal=no', 'SystemCallFilter=~keyctl') +
      files(
        'ReadOnly=yes',
        'Bind=/usr',
        'TemporaryFileSystem=/t',
        'Inaccessible=/x',
        'BindUser=u',
      ) +
      network('Private=yes', 'Port=1')
    const { settings, warnings } = merged(text, [], false)
    expect(settings).toEqual({
      ...defaultSettings(),
      startMode: 'stub-init',
      command: ['x'],
      user: 'bin',
      hostname: 'h',
      access: 'read-only',
      capabilities: { add: [], drop: ['CAP_KILL'], ambient: [] },
      systemCallFilter: { allow: [], deny: ['keyctl'] },
    })
    expect(warnings).toEqual([
      ' ignoring Capability=, AmbientCapability=, MachineID=, Ephemeral=, PrivateUsers=, LimitNOFILE=, ' +
        'OOMScoreAdjust=, CPUAffinity=, LinkJournal=, Bind=, TemporaryFileSystem=, Inaccessible=, ' +
        'BindUser=, Private=, Port=: the file is not trusted',
    ])
  })
  test('everybody may say these, and nothing else', () => {
    const open = fileKeys.filter((entry) => !entry.privileged).map(({ key }) => key)
    expect(new Set(open)).toEqual(
      new Set([
        ...['DropCapability', 'Environment', 'Hostname', 'KillSignal', 'NoNewPrivileges'],
        ...['NotifyReady', 'Personality', 'PivotRoot', 'ReadOnly', 'ResolvConf', 'SuppressSync'],
        ...['SystemCallFilter', 'Timezone', 'User', 'Volatile', 'WorkingDirectory'],
      ]),
    )
  })
  test('a filter that allows any call is not heard at all', () => {
    const text = exec('SystemCallFilter=~keyctl', 'SystemCallFilter=mount')
    expect(merged(text, [], false).settings.systemCallFilter).toEqual({ allow: [], deny: [] })
  })
  test('--settings=trusted trusts it, with the precedence of yes', () => {
    const text = exec('Capability=CAP_NET_ADMIN', 'User=bin')
    const { settings, warnings } = merged(text, ['--settings=trusted', '-u', 'daemon'], false)
    expect(settings.capabilities.add).toEqual(['CAP_NET_ADMIN'])
    expect(settings.user).toBe('daemon')
    expect(warnings).toEqual([])
  })
  test('with override, what is not heard masks nothing', () => {
    const { settings } = merged(files('Bind=/file'), ['--settings=override', '--bind=/line'], false)
    expect(settings.mounts).toMatchObject([{ destination: '/line' }])
  })
  test('no warning about what the command line masks anyway', () => {
    expect(merged(files('Bind=/file'), ['--bind=/line'], false).warnings).toEqual([])
  })
})
