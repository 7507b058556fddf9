/**
 * The API file systems of a container: which are mounted before the user namespace is entered (outer),
 * which within it (inner), and with what. Order matters.
 */
import type { CustomMount, Settings } from '../settings/settings.ts'
import type { HostFacts } from './host-facts.ts'
import type { MountFlag, Step } from './plan.ts'

const sealed: readonly MountFlag[] = ['ro', 'nosuid', 'noexec', 'nodev']

type MountStep = Extract<Step, { kind: 'mount' }>

function newMount(
  fstype: string,
  target: string,
  flags: readonly MountFlag[],
  options: string | undefined,
  onFailure: 'fail' | 'ignore' = 'fail',
): MountStep {
  return {
    kind: 'mount',
    fstype,
    target,
    flags,
    options,
    create: 'directory',
    existing: 'skip',
    onFailure,
  }
}

function bindHere(path: string, onFailure: 'fail' | 'ignore' = 'fail', readOnly = false): Step {
  return {
    kind: 'bind',
    source: { kind: 'container', path },
    target: path,
    depth: 'one',
    access: readOnly ? 'read-only' : 'as-is',
    flags: readOnly ? sealed : [],
    idMap: 'noidmap',
    create: 'no',
    onFailure,
  }
}

/** tmpfs options with the owner of a shifted container's root. */
function tmpfs(options: string, base: number): string {
  return base === 0 ? options : `${options},uid=${base},gid=${base}`
}

/**
 * Mounts made on the tree by the outer child.
 *
 * @param base first host id of the container's users, 0 without a user namespace
 */
export function outerMounts(settings: Settings, facts: HostFacts, base: number): Step[] {
  const { tuning, privateNetwork } = settings
  const steps: Step[] = []
  if (tuning.tmpfsOnTmp) {
    steps.push(
      newMount(
        'tmpfs',
        '/tmp',
        ['nosuid', 'nodev', 'strictatime'],
        tmpfs('mode=01777,size=10%,nr_inodes=400k', base),
      ),
    )
  }
  if (privateNetwork) {
    steps.push(
      newMount(
        'tmpfs',
        '/sys',
        ['nosuid', 'noexec', 'nodev'],
        tmpfs('mode=0555,size=4m,nr_inodes=1k', base),
      ),
    )
  } else {
    const writable = tuning.apiVfs === 'writable'
    steps.push(
      newMount('sysfs', '/sys', writable ? ['nosuid', 'noexec', 'nodev'] : sealed, undefined),
    )
  }
  steps.push(
    newMount(
      'tmpfs',
      '/dev',
      ['nosuid', 'strictatime'],
      tmpfs('mode=0755,size=4m,nr_inodes=64k', base),
    ),
    newMount(
      'tmpfs',
      '/dev/shm',
      ['nosuid', 'nodev', 'strictatime'],
      tmpfs('mode=01777,size=10%,nr_inodes=400k', base),
    ),
    newMount(
      'tmpfs',
      '/run',
      ['nosuid', 'nodev', 'strictatime'],
      tmpfs('mode=0755,size=20%,nr_inodes=800k', base),
    ),
    { kind: 'directory', path: '/run/host', mode: 0o755 },
    bindHere('/run/host'),
  )
  if (facts.osReleasePath !== undefined) {
    steps.push({
      kind: 'bind',
      source: { kind: 'host', hostPath: facts.osReleasePath },
      target: '/run/host/os-release',
      depth: 'one',
      access: 'read-only',
      flags: sealed,
      idMap: 'noidmap',
      create: 'as-source',
      onFailure: 'ignore',
    })
  }
  return steps
}

/** Device nodes, their aliases, and the pseudo terminals; the outer child makes them on the fresh /dev. */
export function deviceSteps(facts: HostFacts, base: number): Step[] {
  const steps: Step[] = [
    { kind: 'directory', path: '/dev/char', mode: 0o755 },
    { kind: 'directory', path: '/dev/net', mode: 0o755 },
  ]
  for (const device of facts.devices) {
    const { name, type, major, minor, mode } = device
    steps.push(
      { kind: 'device', path: `/dev/${name}`, hostPath: `/dev/${name}`, type, major, minor, mode },
      {
        kind: 'symlink',
        path: `/dev/${type === 'character' ? 'char' : 'block'}/${major}:${minor}`,
        target: `../${name}`,
      },
    )
  }
  steps.push(
    { kind: 'symlink', path: '/dev/fd', target: '/proc/self/fd' },
    { kind: 'symlink', path: '/dev/stdin', target: '/proc/self/fd/0' },
    { kind: 'symlink', path: '/dev/stdout', target: '/proc/self/fd/1' },
    { kind: 'symlink', path: '/dev/stderr', target: '/proc/self/fd/2' },
    {
      kind: 'mount',
      fstype: 'devpts',
      target: '/dev/pts',
      flags: ['nosuid', 'noexec'],
      options: `newinstance,ptmxmode=0666,mode=620,gid=${base + 5}`,
      create: 'directory',
      existing: 'cover',
      onFailure: 'fail',
    },
    { kind: 'owner', path: '/dev/pts' },
    { kind: 'owner', path: '/dev/pts/ptmx' },
    { kind: 'symlink', path: '/dev/ptmx', target: 'pts/ptmx' },
  )
  return steps
}

const maskedProc = ['kallsyms', 'kcore', 'keys', 'sysrq-trigger', 'timer_list']
const readOnlyProc = ['acpi', 'apm', 'asound', 'bus', 'fs', 'irq', 'scsi']

/** Whether a bundle asks for what every container has: that a path of /proc is covered, or read-only. */
export function isSealed(mount: CustomMount, { tuning }: Settings): boolean {
  if (!('missing' in mount) || mount.missing !== 'ignore' || tuning.apiVfs === 'writable')
    return false
  const name = mount.destination.replace(/^\/proc\//, '')
  return maskedProc.includes(name) || (mount.kind === 'bind' && readOnlyProc.includes(name))
}

/**
 * Mounts made by the inner child, with all namespaces entered and the tree as root.
 *
 * @param sysctls what is to be done while /proc/sys can be written to
 */
export function innerMounts(settings: Settings, sysctls: readonly Step[]): Step[] {
  const { tuning, privateNetwork } = settings
  const proc = newMount('proc', '/proc', ['nosuid', 'noexec', 'nodev'], undefined)
  const steps: Step[] = [proc, ...sysctls]
  if (tuning.apiVfs !== 'writable') {
    steps.push(bindHere('/proc/sys'))
    if (privateNetwork || tuning.apiVfs === 'network-writable')
      steps.push(bindHere('/proc/sys/net'))
    steps.push({
      kind: 'remount',
      target: '/proc/sys',
      flags: sealed,
      depth: 'one',
      onFailure: 'fail',
    })
    for (const name of maskedProc)
      steps.push({ kind: 'mask', target: `/proc/${name}`, onFailure: 'ignore' })
    for (const name of readOnlyProc) steps.push(bindHere(`/proc/${name}`, 'ignore', true))
  }
  steps.push(
    newMount('mqueue', '/dev/mqueue', ['nosuid', 'noexec', 'nodev'], undefined, 'ignore'),
    { kind: 'remount', target: '/run/host', flags: sealed, depth: 'one', onFailure: 'fail' },
  )
  if (privateNetwork) {
    steps.push({
      kind: 'private-sysfs',
      access: tuning.apiVfs === 'writable' ? 'read-write' : 'read-only',
    })
  }
  return steps
}
