import { describe, expect, test } from 'vitest'
import type { HostFacts } from '../../../src/plan/host-facts.ts'
import { makePlan, type PreparedContainer } from '../../../src/plan/make-plan.ts'
import { describeStep, type ContainerPlan, type Step } from '../../../src/plan/plan.ts'
import { defaultSettings, type Settings } from '../../../src/settings/settings.ts'

const facts: HostFacts = {
  architecture: 'x86-64',
  osRelease: { ID: 'debian', VERSION_ID: '12' },
  osReleasePath: '/etc/os-release',
  devices: [{ name: 'null', type: 'character', major: 1, minor: 3, mode: 0o666 }],
  cgroup: { layout: 'hybrid', hierarchies: [], namespaces: true },
  boundingSet: '000001ffffffffff',
  initLimits: { processes: 1000, pendingSignals: 1000 },
  maxOpenFiles: 1_048_576,
  machineId: 'fedcba9876543210fedcba9876543210',
  localtime: 'symlink',
  resolvConf: { host: true, stub: false },
  term: 'xterm',
  stdin: 'other',
  stdout: 'other',
  selinux: false,
  systemd: true,
  passedDescriptors: 0,
  seccomp: true,
}

let temporaries = 0
const prepared: PreparedContainer = {
  machine: 'web',
  root: { kind: 'directory', hostPath: '/var/lib/machines/web' },
  rootAccess: 'read-write',
  users: undefined,
  fallbackUuid: '0123456789abcdef0123456789abcdef',
  temporary: { next: () => `/var/tmp/t${++temporaries}`, workName: (upper) => `.#${upper}.w` },
  hostUsers: [],
  propagateDirectory: '/run/systemd/nspawn/propagate/web',
}

function plan(
  settings: Partial<Settings> = {},
  host: Partial<HostFacts> = {},
  tree: Partial<PreparedContainer> = {},
): ContainerPlan {
  const whole = { ...defaultSettings(), command: ['true'], ...settings }
  return makePlan(whole, { ...facts, ...host }, { ...prepared, ...tree }).plan
}

const targets = (steps: readonly Step[]) =>
  steps.flatMap((step) => ('target' in step && step.kind !== 'symlink' ? [step.target] : []))
const shifted = { base: 65536 * 20, length: 65536, ownership: 'auto' } as const

const tmpfs = { kind: 'tmpfs', destination: '/mnt', options: '' } as const
const credential = { name: 'pw', source: { kind: 'value', base64: 'c2VjcmV0' } } as const

describe('credentials', () => {
  const step = (settings: Partial<Settings>) =>
    plan({ credentials: [credential], ...settings }).outer.find(
      ({ kind }) => kind === 'credentials',
    )

  test('are named in the plan, and their values are not', () => {
    const made = plan({ credentials: [credential] })
    expect(step({})).toMatchObject({ path: '/run/host/credentials', names: ['pw'] })
    expect(JSON.stringify(made)).not.toContain('c2VjcmV0')
    expect(made.payload.environment).toContain('CREDENTIALS_DIRECTORY=/run/host/credentials')
    expect(plan().payload.environment.join()).not.toContain('CREDENTIALS_DIRECTORY')
  })

  test('are for root alone, but where the payload is another user and stays it', () => {
    expect(step({})).toMatchObject({ readers: 'root' })
    expect(step({ noNewPrivileges: true })).toMatchObject({ readers: 'root' })
    expect(step({ user: 'www' })).toMatchObject({ readers: 'root' })
    expect(step({ user: 'www', noNewPrivileges: true })).toMatchObject({ readers: 'everybody' })
    const stub = { user: 'www', noNewPrivileges: true, startMode: 'stub-init' } as const
    expect(step(stub)).toMatchObject({ readers: 'root' })
    expect(step({ credentialReaders: 'everybody' })).toMatchObject({ readers: 'everybody' })
  })
})

describe('a scope unit', () => {
  const scope = (settings: Partial<Settings>) => plan(settings).registration.scope

  test('is a must where slice or properties are asked for, registered or not', () => {
    expect(scope({})).toBe('optional')
    expect(scope({ slice: 'a.slice' })).toBe('required')
    expect(scope({ properties: ['MemoryMax=1G'], register: 'no' })).toBe('required')
    expect(scope({ properties: ['MemoryMax=1G'], keepUnit: true })).toBe('optional')
  })

  test('that cannot be is refused, not left out', () => {
    const host = { systemd: false }
    const properties = ['MemoryMax=1G']
    expect(() => plan({ properties }, host)).toThrow('--property=MemoryMax=1G needs systemd')
    expect(() => plan({ slice: 'a.slice' }, host)).toThrow('--slice=a.slice needs systemd')
    expect(plan({ properties, keepUnit: true }, host).keepUnit).toBe(true)
  })
})

describe('SELinux labels', () => {
  const selinux = { context: 'u:r:t:s0', apifsContext: 'u:r:f:s0:c1,c2' }

  test('go to the payload, and to every file system in memory', () => {
    const made = plan({ selinux, mounts: [tmpfs] }, { selinux: true })
    expect(made.selinuxContext).toBe('u:r:t:s0')
    expect(made.selinuxApifsContext).toBe('u:r:f:s0:c1,c2')
    for (const step of made.outer) {
      if (step.kind !== 'mount') continue
      const labeled = step.options?.endsWith(',context="u:r:f:s0:c1,c2"') === true
      expect([step.target, labeled]).toEqual([step.target, /tmpfs|devpts/.test(step.fstype)])
    }
    expect(made.outer.filter((step) => step.kind === 'mount').length).toBeGreaterThan(4)
  })

  test('are refused by name where the host has no SELinux', () => {
    expect(() => plan({ selinux })).toThrow('--selinux-context=u:r:t:s0 needs SELinux')
    const only = { ...selinux, context: undefined }
    expect(() => plan({ selinux: only })).toThrow('--selinux-apifs-context=u:r:f:s0:c1,c2 needs')
  })
})

describe('the plan of a container', () => {
  test('is plain JSON, so that it can be printed and sent', () => {
    const made = plan({ mounts: [{ kind: 'tmpfs', destination: '/mnt', options: '' }] })
    expect(JSON.parse(JSON.stringify(made))).toEqual(
      JSON.parse(JSON.stringify({ ...made, users: undefined })),
    )
    for (const step of [...made.outer, ...made.inner]) expect(describeStep(step)).not.toBe('')
  })

  test('mounts the API file systems in systemd-nspawn’s order', () => {
    expect(targets(plan().outer)).toEqual([
      ...['/tmp', '/sys', '/dev', '/dev/shm', '/run', '/run/host', '/run/host/os-release'],
      ...['/dev/pts', '/run/host/incoming'],
    ])
    expect(targets(plan().inner).slice(0, 3)).toEqual(['/proc', '/proc/sys', '/proc/sys'])
  })

  test('boots with the first init of the tree, its own arguments, and no locale', () => {
    const { payload, cgroup } = plan({ startMode: 'boot', command: ['--unit=x', '3'] })
    expect(payload.candidates.map(({ argv }) => argv)).toEqual([
      ['/usr/lib/systemd/systemd', '--unit=x', '3'],
      ['/lib/systemd/systemd', '--unit=x', '3'],
      ['/sbin/init', '--unit=x', '3'],
    ])
    expect(payload.environment.filter((item) => item.startsWith('LANG='))).toEqual([])
    expect(cgroup.container).toBe('by-tree')
  })

  test('an init never rules over the control group of the caller', () => {
    expect(plan({ startMode: 'boot', keepUnit: true }).cgroup.group).toBe('own')
    expect(plan({ keepUnit: true }).cgroup.group).toBe('caller')
    expect(plan({}).cgroup.group).toBe('own')
  })

  test('a new root is pivoted to, unless a throw-away layer begins there already', () => {
    const pivotRoot = { newRoot: '/new', oldRoot: undefined }
    expect(plan({ pivotRoot }).pivotRoot).toEqual(pivotRoot)
    expect(plan({ pivotRoot, volatile: 'state' }).pivotRoot).toEqual(pivotRoot)
    expect(plan({ pivotRoot, volatile: 'yes' }).pivotRoot).toBeUndefined()
    expect(plan({ pivotRoot, volatile: 'overlay' }).pivotRoot).toBeUndefined()
  })

  test('links the journal of what stays, and insists on it only when asked to', () => {
    const journal = (settings: Partial<Settings>) =>
      plan(settings).outer.find((step) => step.kind === 'link-journal')
    expect(journal({})).toMatchObject({
      mode: 'auto',
      tree: '/var/lib/machines/web',
      onFailure: 'skip',
    })
    expect(journal({ linkJournal: 'host' })).toMatchObject({ mode: 'host', onFailure: 'fail' })
    expect(journal({ linkJournal: 'try-guest' })).toMatchObject({
      mode: 'guest',
      onFailure: 'skip',
    })
    expect(journal({ pivotRoot: { newRoot: '/new', oldRoot: undefined } })).toMatchObject({
      tree: '/var/lib/machines/web/new',
    })
    expect(journal({ linkJournal: 'no' })).toBeUndefined()
    expect(journal({ ephemeral: true })).toBeUndefined()
  })

  test('makes everything below /dev and /run the shifted root’s', () => {
    const made = plan({ privateUsers: { mode: 'pick' } }, {}, { users: shifted })
    const options = made.outer.flatMap((step) =>
      step.kind === 'mount' && step.options !== undefined ? [step.options] : [],
    )
    for (const text of options) expect(text).toMatch(/[ug]id=13107(20|25)/)
    expect(made.namespaces).toContain('user')
  })

  test('a private network gets a /sys that shows no devices of the host’s network', () => {
    const made = plan({ privateNetwork: true })
    expect(
      made.outer.find((step) => step.kind === 'mount' && step.target === '/sys'),
    ).toMatchObject({ fstype: 'tmpfs' })
    expect(made.inner.at(-1)).toEqual({ kind: 'private-sysfs', access: 'read-only' })
    expect(made.loopbackUp).toBe(true)
  })

  test('without a cgroup namespace the host’s groups are shown read-only', () => {
    const tuning = { ...defaultSettings().tuning, cgroupNamespace: false }
    expect(plan({ tuning }).outer).toContainEqual(
      expect.objectContaining({ kind: 'bind', target: '/sys/fs/cgroup', access: 'read-only' }),
    )
    expect(plan({ tuning }).namespaces).not.toContain('cgroup')
  })

  test('custom mounts come parents first, and those below /proc last of all', () => {
    const bind = (destination: string) =>
      ({
        kind: 'bind',
        source: { kind: 'host', path: '/etc' },
        destination,
        access: 'read-only',
        recursive: true,
        idMap: 'noidmap',
      }) as const
    const made = plan({ mounts: [bind('/a/b'), bind('/proc/x'), bind('/a-b'), bind('/a')] })
    expect(targets(made.outer).slice(-3)).toEqual(['/a', '/a/b', '/a-b'])
    expect(targets(made.innerCustom)).toEqual(['/proc/x'])
  })

  test('an empty overlay upper is a fresh directory with its work directory beside it', () => {
    const made = plan({
      mounts: [
        {
          kind: 'overlay',
          lowers: [{ kind: 'container', path: '/usr' }],
          upper: { kind: 'temporary' },
          destination: '/usr',
          access: 'read-write',
        },
      ],
    })
    expect(made.outer.find((step) => step.kind === 'overlay')).toMatchObject({
      lowers: [{ kind: 'container', path: '/usr' }],
      upper: { workName: `.#t${temporaries}.w` },
    })
  })
})

describe('what the payload sees', () => {
  test('is a fixed environment, then the user’s own', () => {
    const { payload } = plan({ environment: [{ name: 'PATH', value: '/opt' }] })
    expect(payload.environment).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'container=systemd-nspawn',
      'TERM=xterm',
      'NOTIFY_SOCKET=/run/host/notify',
      'LANG=C.UTF-8',
      'container_host_id=debian',
      'container_host_version_id=12',
    ])
    expect(payload.overrides).toEqual(['PATH=/opt'])
  })

  test('without a command it is a login shell in the user’s home', () => {
    const { payload } = plan({ command: [] })
    expect(payload.candidates.map(({ argv }) => argv[0])).toEqual(['-bash', '-sh'])
    expect(payload.startsShell).toBe(true)
  })

  test.each([
    ['root', undefined],
    ['0', undefined],
    ['daemon', 'daemon'],
  ])('user %s', (user, expected) => {
    expect(plan({ user }).payload.user).toBe(expected)
  })

  test('limits are a booted system’s, and the user’s where given', () => {
    const limits = plan({ resourceLimits: { NOFILE: { soft: 5, hard: null } } }).limits
    expect(limits.find(({ name }) => name === 'NOFILE')).toEqual({
      name: 'NOFILE',
      resource: 7,
      soft: 5,
      hard: null,
    })
    expect(limits.find(({ name }) => name === 'MEMLOCK')?.soft).toBe(8 * 1024 * 1024)
  })
})

describe('a root that is read-only', () => {
  const sealed = (root: PreparedContainer['root']) =>
    plan({}, {}, { root, rootAccess: 'read-only' }).outer.some(
      (step) => step.kind === 'remount' && step.target === '/' && step.flags.includes('ro'),
    )
  const overlay = { kind: 'overlay', layers: ['/tree'], sync: 'skip' } as const

  test('is sealed, whether it is a tree or a throw-away overlay', () => {
    expect(sealed({ kind: 'directory', hostPath: '/tree' })).toBe(true)
    expect(sealed({ ...overlay, upper: { hostPath: '/upper', workPath: '/work' } })).toBe(true)
  })

  test('stays writable where what is written lies in memory', () => {
    expect(sealed({ ...overlay, upper: 'tmpfs' })).toBe(false)
    expect(sealed({ kind: 'usr-only', hostPath: '/tree', usr: 'read-only' })).toBe(false)
  })
})

describe('resolv.conf and localtime', () => {
  const modes = (made: ContainerPlan) =>
    made.outer.flatMap((step) =>
      step.kind === 'resolv-conf' || step.kind === 'timezone' ? [`${step.kind} ${step.mode}`] : [],
    )

  test('are copied and linked in a writable tree, bound in a read-only one', () => {
    expect(modes(plan())).toEqual(['timezone symlink', 'resolv-conf copy-host'])
    expect(modes(plan({}, {}, { rootAccess: 'read-only' }))).toEqual([
      'timezone bind',
      'resolv-conf bind-host',
    ])
  })

  test('a volatile tree counts as writable when its /etc is', () => {
    const tree = { rootAccess: 'read-only' } as const
    expect(modes(plan({ volatile: 'overlay' }, {}, tree))[1]).toBe('resolv-conf copy-host')
    expect(modes(plan({ volatile: 'state' }, {}, tree))[1]).toBe('resolv-conf bind-host')
  })

  test('a private network needs no resolver', () => {
    expect(modes(plan({ privateNetwork: true }))).toEqual(['timezone symlink'])
  })

  test('the stub resolver is preferred, and without any file the tree’s is deleted', () => {
    const stub = { resolvConf: { host: true, stub: true } }
    expect(modes(plan({}, stub))[1]).toBe('resolv-conf copy-stub')
    const none = { resolvConf: { host: false, stub: false } }
    expect(modes(plan({}, none))[1]).toBe('resolv-conf delete')
  })
})

describe('the console', () => {
  test.each([
    [undefined, 'terminal', 'interactive'],
    [undefined, 'other', 'read-only'],
    ['autopipe', 'terminal', 'interactive'],
    ['autopipe', 'other', 'pipe'],
    ['passive', 'terminal', 'passive'],
  ] as const)('mode %s on %s is %s', (console, kind, expected) => {
    expect(plan({ console }, { stdin: kind, stdout: kind }).console).toBe(expected)
  })
})

describe('personalities', () => {
  test('are the host’s own, or its 32-bit sibling', () => {
    expect(plan({ personality: 'x86-64' }).personality).toBe(0)
    expect(plan({ personality: 'x86' }).personality).toBe(8)
    expect(() => plan({ personality: 'arm64' })).toThrow('cannot give the personality arm64')
  })

  test('which files are opened is seen of users of its own only', () => {
    const openedFiles = '/run/opened'
    expect(() => plan({ openedFiles })).toThrow('only with users of its own')
    expect(plan({ openedFiles }, {}, { users: shifted }).openedFiles).toBe(openedFiles)
  })
})
