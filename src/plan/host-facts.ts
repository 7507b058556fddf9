/** What a plan has to know of the host; gathered by `runtime/host.ts`, made up freely by tests. */
import type { CapabilityMask } from './capabilities.ts'
import type { CgroupHierarchy } from './plan.ts'
import type { Abi } from './seccomp/abi.ts'

export interface HostDevice {
  /** Below /dev: `null`, `net/tun`. */
  readonly name: string
  readonly type: 'character' | 'block'
  readonly major: number
  readonly minor: number
  readonly mode: number
}

export interface HostFacts {
  readonly architecture: Abi
  /** Keys of the host's os-release, unquoted. */
  readonly osRelease: Readonly<Record<string, string>>
  /** Where it was found: `/etc/os-release` or `/usr/lib/os-release`; undefined on a host without. */
  readonly osReleasePath: string | undefined
  /** Those of the wanted device nodes that the host has. */
  readonly devices: readonly HostDevice[]
  readonly cgroup: {
    readonly layout: 'unified' | 'hybrid' | 'legacy' | 'none'
    readonly hierarchies: readonly CgroupHierarchy[]
    readonly namespaces: boolean
  }
  /** `CapBnd` of the runtime itself. */
  readonly boundingSet: CapabilityMask
  /** Limits of the host's first process; `null` is infinity. */
  readonly initLimits: { readonly processes: number | null; readonly pendingSignals: number | null }
  /** /proc/sys/fs/nr_open */
  readonly maxOpenFiles: number
  /** 32 hexadecimal digits (machine-id(5)); undefined on a host that has none yet. */
  readonly machineId: string | undefined
  readonly localtime: 'missing' | 'file' | 'symlink'
  /** Which of the sources of resolv.conf exist. */
  readonly resolvConf: { readonly host: boolean; readonly stub: boolean }
  readonly term: string | undefined
  readonly stdin: 'terminal' | 'other'
  readonly stdout: 'terminal' | 'other'
  readonly selinux: boolean
  /** Booted with systemd (sd_booted(3)). */
  readonly systemd: boolean
  /** Descriptors from 3 on that a service manager passed to us (sd_listen_fds(3)). */
  readonly passedDescriptors: number
  readonly seccomp: boolean
}

/** Device nodes that containers get when the host has them (systemd-nspawn(1), 2.5 of null(4), tun). */
export const CONTAINER_DEVICES = [
  'null',
  'zero',
  'full',
  'random',
  'urandom',
  'tty',
  'fuse',
  'net/tun',
] as const
