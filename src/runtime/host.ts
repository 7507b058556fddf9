/** Gathers what a plan has to know of the host. Synchronous and quick: every start pays for it. */
import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { parseOsRelease } from '../images/os-release.ts'
import type { LogSink } from '../log.ts'
import { CONTAINER_DEVICES, type HostDevice, type HostFacts } from '../plan/host-facts.ts'
import type { CgroupHierarchy } from '../plan/plan.ts'
import { abiOfNode, type Abi } from '../plan/seccomp/abi.ts'
import { readIfThere } from '../read-if-there.ts'
import { close, open, O_RDWR } from '../sys/fd.ts'
import { splitDevice } from '../sys/device-number.ts'
import { seccompAvailable } from '../sys/seccomp.ts'
import { isTerminal } from '../sys/termios.ts'

interface FactsContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: LogSink
  /** Whose stdio the payload gets: this process's own, or something that is no terminal. */
  readonly stdio: 'own' | 'other'
}

export function gatherHostFacts({ environment, log, stdio }: FactsContext): HostFacts {
  const osReleasePath = ['/etc/os-release', '/usr/lib/os-release'].find((path) => existsSync(path))
  return {
    architecture: hostArchitecture(),
    osRelease:
      osReleasePath === undefined ? {} : parseOsRelease(readFileSync(osReleasePath, 'utf8')),
    osReleasePath,
    devices: CONTAINER_DEVICES.flatMap(hostDevice),
    cgroup: { ...cgroupLayout(), namespaces: existsSync('/proc/self/ns/cgroup') },
    boundingSet: statusField('CapBnd'),
    initLimits: initLimits(log),
    maxOpenFiles: Number(readFileSync('/proc/sys/fs/nr_open', 'utf8')),
    machineId: machineId(),
    localtime: localtimeKind(),
    resolvConf: {
      host: existsSync('/etc/resolv.conf'),
      stub: existsSync('/run/systemd/resolve/stub-resolv.conf'),
    },
    term: environment['TERM'],
    stdin: stdio === 'own' && isTerminal(0) ? 'terminal' : 'other',
    stdout: stdio === 'own' && isTerminal(1) ? 'terminal' : 'other',
    selinux: existsSync('/sys/fs/selinux/enforce'),
    systemd: existsSync('/run/systemd/system'),
    passedDescriptors: passedDescriptors(environment),
    seccomp: seccompAvailable(),
  }
}

function hostArchitecture(): Abi {
  const abi = abiOfNode(process.arch)
  if (abi !== undefined) return abi
  throw new NspawnError(`containers are not supported on ${process.arch}`, {
    code: 'UNSUPPORTED_ARCHITECTURE',
  })
}

/** fuse and net/tun are handed on only where root may open them: without the module there is nothing behind them. */
const onlyIfUsable = new Set<string>(['fuse', 'net/tun'])

function hostDevice(name: string): HostDevice[] {
  const path = `/dev/${name}`
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined || !(stat.isCharacterDevice() || stat.isBlockDevice())) return []
  if (onlyIfUsable.has(name) && !canOpen(path)) return []
  const { major, minor } = splitDevice(stat.rdev)
  return [
    {
      name,
      type: stat.isCharacterDevice() ? 'character' : 'block',
      major,
      minor,
      mode: stat.mode & 0o7777,
    },
  ]
}

function canOpen(path: string): boolean {
  try {
    close(open(path, O_RDWR))
    return true
  } catch (error) {
    return process.getuid?.() !== 0 && (error as NspawnError).code === 'EACCES'
  }
}

function statusField(name: string): string {
  const match = new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(
    readFileSync('/proc/self/status', 'latin1'),
  )
  return match?.[1] ?? '0'.repeat(16)
}

/** Whoever cannot see process 1 (proc(5), `hidepid`) only asks for a plan: our own limits have to do. */
function initLimits(log: LogSink): HostFacts['initLimits'] {
  let text: string
  try {
    text = readFileSync('/proc/1/limits', 'latin1')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'ENOENT') throw error
    log({
      kind: 'warning',
      text: 'the limits of process 1 cannot be read, taking those of tsnspawn',
    })
    text = readFileSync('/proc/self/limits', 'latin1')
  }
  const soft = (label: string) => {
    const value = new RegExp(`^${label}\\s+(\\S+)`, 'm').exec(text)?.[1]
    return value === undefined || value === 'unlimited' ? null : Number(value)
  }
  return { processes: soft('Max processes'), pendingSignals: soft('Max pending signals') }
}

/** sd_listen_fds(3): only what was meant for this very process. */
function passedDescriptors(environment: Readonly<Record<string, string | undefined>>): number {
  if (environment['LISTEN_PID'] !== String(process.pid)) return 0
  const count = Number(environment['LISTEN_FDS'])
  return Number.isInteger(count) && count > 0 ? count : 0
}

function machineId(): string | undefined {
  const text = readIfThere('/etc/machine-id').trim()
  return /^[0-9a-f]{32}$/.test(text) ? text : undefined
}

function localtimeKind(): HostFacts['localtime'] {
  const stat = lstatSync('/etc/localtime', { throwIfNoEntry: false })
  return stat === undefined ? 'missing' : stat.isSymbolicLink() ? 'symlink' : 'file'
}

/** cgroups(7), /proc/PID/cgroup: one line a hierarchy, `ID:CONTROLLERS:PATH`; ID 0 is version 2. */
function cgroupLayout(): Omit<HostFacts['cgroup'], 'namespaces'> {
  if (!existsSync('/sys/fs/cgroup')) return { layout: 'none', hierarchies: [] }
  const lines = readFileSync('/proc/self/cgroup', 'latin1').trim().split('\n')
  const hierarchies: CgroupHierarchy[] = []
  let unified = false
  for (const line of lines) {
    const [id, list = ''] = line.split(':')
    if (id === '0') {
      unified = true
      continue
    }
    const name = list.startsWith('name=') ? list.slice('name='.length) : list
    const controllers = list.startsWith('name=') || list === '' ? [] : list.split(',')
    hierarchies.push({ name, fstype: 'cgroup', options: list, controllers })
  }
  if (hierarchies.length === 0) return { layout: unified ? 'unified' : 'none', hierarchies }
  const hybrid = unified && existsSync('/sys/fs/cgroup/unified')
  if (!hybrid) return { layout: 'legacy', hierarchies }
  return {
    layout: 'hybrid',
    hierarchies: [
      ...hierarchies,
      { name: 'unified', fstype: 'cgroup2', options: undefined, controllers: [] },
    ],
  }
}
