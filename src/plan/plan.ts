/**
 * The container plan: everything decided, nothing done. Plain JSON, ordered, printable
 * (`tsnspawn --print-plan`); the forked children of `runtime/` only walk it.
 *
 * In: `Settings`, `HostFacts`, the root as `images/` prepared it. Out: this. Paths named `target` are the
 * container's own and are resolved beneath its root; paths named `hostPath` are the host's.
 */
import type { NetworkPlan } from './network.ts'
import type {
  BindIdMap,
  BundleHooks,
  ConsoleMode,
  FileSystemFlag,
  Ownership,
  PivotRoot,
  ResolvConfMode,
  ResourceControl,
  TimezoneMode,
} from '../settings/settings.ts'
import type { HostUser } from './bind-users.ts'
import type { CapabilitySets } from './capabilities.ts'
import type { SeccompProgram } from './seccomp/assemble.ts'

/** Where the source of a mount lies once temporary directories have been made. */
export type PlannedSource =
  | { readonly kind: 'host'; readonly hostPath: string }
  | { readonly kind: 'container'; readonly path: string }

/** Mount flags by name, as mount(8) says them. */
export type MountFlag = FileSystemFlag

/** `ignore-missing`: that the target or source is not there. */
export type OnFailure = 'fail' | 'ignore' | 'ignore-missing'

export type Step =
  /** A new file system. Skipped when the target already is a mount point, unless it must `cover`. */
  | {
      readonly kind: 'mount'
      readonly fstype: string
      /** Undefined: the type says it all. */
      readonly source?: string
      readonly target: string
      readonly flags: readonly MountFlag[]
      readonly options: string | undefined
      readonly create: 'directory' | 'no'
      readonly existing: 'skip' | 'cover'
      readonly onFailure: 'fail' | 'ignore'
    }
  | {
      readonly kind: 'bind'
      readonly source: PlannedSource
      readonly target: string
      readonly depth: 'recursive' | 'one'
      readonly access: 'as-is' | 'read-only'
      /** Set on the mount; read-only among them when it is. */
      readonly flags: readonly MountFlag[]
      readonly propagation?: 'private'
      readonly idMap: BindIdMap
      readonly create: 'as-source' | 'no'
      readonly onFailure: OnFailure
    }
  | {
      readonly kind: 'remount'
      readonly target: string
      readonly flags: readonly MountFlag[]
      readonly depth: 'recursive' | 'one'
      readonly onFailure: 'fail' | 'ignore'
    }
  | {
      readonly kind: 'overlay'
      /** Bottom first. */
      readonly lowers: readonly PlannedSource[]
      /** Undefined for a read-only overlay. The work directory is made beside it, and goes at the end. */
      readonly upper: { readonly source: PlannedSource; readonly workName: string } | undefined
      readonly target: string
    }
  /** An empty inode of the same type that nobody may use, over an existing one. */
  | { readonly kind: 'mask'; readonly target: string; readonly onFailure: OnFailure }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly content: string
      readonly mode: number
    }
  /** Gives what a mount brought along to the container's root. */
  | { readonly kind: 'owner'; readonly path: string }
  /** A device node like the host's; bound from there where mknod is not permitted. */
  | {
      readonly kind: 'device'
      readonly path: string
      readonly hostPath: string
      readonly type: 'character' | 'block'
      readonly major: number
      readonly minor: number
      readonly mode: number
      /** In the container; undefined: its root. */
      readonly owner?: { readonly uid: number; readonly gid: number }
    }
  | {
      readonly kind: 'fifo'
      readonly path: string
      readonly mode: number
      readonly owner: { readonly uid: number; readonly gid: number }
    }
  /** A kernel parameter of a namespace of the container's own; dots in the name. */
  | { readonly kind: 'sysctl'; readonly name: string; readonly value: string }
  /** The directories and links every root needs (file-hierarchy(7)); what exists is left alone. */
  | { readonly kind: 'base-filesystem' }
  /** /run/host/inaccessible and its six nodes. */
  | { readonly kind: 'inaccessible-nodes' }
  /** The socket that the payload's READY=1 comes in by. */
  | { readonly kind: 'notify-socket'; readonly path: string }
  /** Which id each gets is found out in the tree. */
  | {
      readonly kind: 'bind-users'
      /** `shell` is the one that they get. */
      readonly users: readonly HostUser[]
      readonly groups: readonly string[]
    }
  /** What is in them is no part of a plan, which anybody may be shown. */
  | {
      readonly kind: 'credentials'
      readonly path: string
      readonly names: readonly string[]
      readonly readers: 'root' | 'everybody'
    }
  /** Container manager and container UUID, read by the payload, and a boot ID, fresh at each start. */
  | { readonly kind: 'identity-files'; readonly service: string }
  | {
      readonly kind: 'resolv-conf'
      readonly mode: Exclude<ResolvConfMode, 'off' | 'auto'>
      readonly hostPath: string
    }
  | { readonly kind: 'timezone'; readonly mode: Exclude<TimezoneMode, 'off' | 'auto'> }
  /** /var/log/journal/MACHINE-ID of container and host become one. */
  | {
      readonly kind: 'link-journal'
      readonly mode: 'auto' | 'guest' | 'host'
      /** The tree as the host sees it: where a link of the host leads. */
      readonly tree: string
      /** Without dashes; undefined on a host that has none. */
      readonly hostMachineId: string | undefined
      readonly onFailure: 'fail' | 'skip'
    }
  /** The six parts of sysfs that a private network leaves visible. */
  | { readonly kind: 'private-sysfs'; readonly access: 'read-only' | 'read-write' }

/** How the root tree comes to be a mount of its own. */
export type RootPlan =
  | { readonly kind: 'directory'; readonly hostPath: string }
  | {
      readonly kind: 'overlay'
      /** Bottom first. */
      readonly layers: readonly string[]
      /** `tmpfs` keeps what is written in memory. */
      readonly upper: 'tmpfs' | { readonly hostPath: string; readonly workPath: string }
      /** Skip every sync: nothing of the upper is wanted afterwards (overlayfs `volatile`). */
      readonly sync: 'skip' | 'keep'
    }
  /** A tmpfs with only /usr of the tree: read-only, or as the tree has it. */
  | {
      readonly kind: 'usr-only'
      readonly hostPath: string
      readonly usr: 'read-only' | 'as it is'
    }

/** One file system of a disk image. */
export interface PlannedImageMount {
  /** What it holds, by the name of the Discoverable Partitions Specification. */
  readonly designator: 'root' | 'usr' | 'home' | 'srv' | 'var' | 'tmp' | 'xbootldr' | 'esp'
  /** A block device. */
  readonly source: string
  readonly fileSystem: string
  readonly readOnly: boolean
  /** Of the file system: `name=value`, or a name. */
  readonly options: readonly string[]
}

/**
 * The disk image that the tree lies in. Its root and /usr are mounted first, at the place that `root` names, and
 * make the tree; the rest goes into the container's root.
 */
export interface ImagePlan {
  /** Absolute, of the image. */
  readonly path: string
  readonly mounts: readonly PlannedImageMount[]
}

/** What people know the tree of a container by: the image that it lies in, or the tree itself. */
export function sourceOf({ root, image }: Pick<ContainerPlan, 'root' | 'image'>): string {
  return image?.path ?? treeOfRoot(root)
}

/** The tree on the host that a root is made of; the lowest layer of an overlay. */
export function treeOfRoot(root: RootPlan): string {
  return root.kind === 'overlay' ? (root.layers[0] as string) : root.hostPath
}

export interface UsersPlan {
  /** First host id of the container's range; 0 for `identity`. */
  readonly base: number
  readonly length: number
  /** `auto` is map or foreign, and chown where the kernel or file system cannot. */
  readonly ownership: Ownership
}

/** Kernel names without the RLIMIT_ prefix. */
export interface PlannedLimit {
  readonly name: string
  readonly resource: number
  readonly soft: number | null
  readonly hard: number | null
}

export interface PayloadPlan {
  /** Programs to try in turn; a name without a slash is searched in the payload's PATH. */
  readonly candidates: readonly { readonly program: string; readonly argv: readonly string[] }[]
  /** What is tried, for the message when all fail. */
  readonly description: string
  /** Undefined: the user's home for the shell, / for a command. */
  readonly workingDirectory: string | undefined
  readonly startsShell: boolean
  /** `NAME=VALUE`; HOME, USER, LOGNAME and container_uuid are added by the inner child. */
  readonly environment: readonly string[]
  /** Added last, over everything else. */
  readonly overrides: readonly string[]
  /** Undefined: root. */
  readonly user: string | undefined
  /** Instead of a user that the tree knows. */
  readonly ids?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
  /** 0022 when undefined. */
  readonly umask?: number
}

/** What is run beside the payload, and what it is told. */
export interface HooksPlan {
  readonly hooks: BundleHooks
  /** Of the OCI runtime specification. */
  readonly version: string
  /** Directory of the bundle. */
  readonly bundle: string
  readonly annotations: Readonly<Record<string, string>>
}

export interface CgroupHierarchy {
  /** Name of its directory below /sys/fs/cgroup. */
  readonly name: string
  readonly fstype: 'cgroup' | 'cgroup2'
  readonly options: string | undefined
  readonly controllers: readonly string[]
}

export interface CgroupPlan {
  readonly host: 'unified' | 'hybrid' | 'legacy' | 'none'
  /** A group of its own, or the one that the caller is in. */
  readonly group: 'own' | 'caller'
  /** `by-tree` looks at the systemd version in the tree. */
  readonly container: 'unified' | 'as-host' | 'by-tree'
  readonly namespace: boolean
  readonly hierarchies: readonly CgroupHierarchy[]
  /** Undefined: none, or systemd sets them. */
  readonly limits: ResourceControl | undefined
}

/** What others are told of the machine while it runs. */
export interface RegistrationPlan {
  /** `yes`: with systemd-machined, or not at all. `hidden`: where only who knows the name finds it. */
  readonly mode: 'yes' | 'no' | 'auto' | 'hidden'
  /** The program that registers itself: the value of `container=`. */
  readonly service: string
  /** What the first process is: the payload, our stub init above it, or an init of the tree. */
  readonly init: 'payload' | 'stub' | 'tree'
  /** The machine ID when it was given: 32 hexadecimal digits. */
  readonly id: string | undefined
  /** Where systemd puts the scope of the machine, and what it sets there: `NAME=VALUE`. */
  readonly slice: string
  /** `required` where slice or properties were asked for: then a scope is made without machined, too. */
  readonly scope: 'required' | 'optional'
  readonly properties: readonly string[]
}

export interface ContainerPlan {
  readonly machine: string
  readonly hostname: string
  /** Used when the tree has no machine ID: 32 hexadecimal digits. */
  readonly fallbackUuid: string
  readonly root: RootPlan
  readonly image?: ImagePlan | undefined
  readonly rootAccess: 'read-write' | 'read-only'
  /** Directories of the tree that become the root and hold the rest. */
  readonly pivotRoot: PivotRoot | undefined
  /** Undefined: no user namespace. */
  readonly users: UsersPlan | undefined
  /** Namespaces made besides mount. */
  readonly namespaces: readonly ('ipc' | 'pid' | 'uts' | 'user' | 'net' | 'cgroup')[]
  /** Done in order by the outer child, on the tree, with the host's privileges. */
  readonly outer: readonly Step[]
  /** Mounts that the host hands mounts in through, and that tell it nothing back. */
  readonly receiveOnly: readonly string[]
  /** Done in order by the inner child, within all namespaces. */
  readonly inner: readonly Step[]
  /** Custom mounts at or below /proc, done last. */
  readonly innerCustom: readonly Step[]
  readonly cgroup: CgroupPlan
  readonly maskKernelLog: boolean
  readonly loopbackUp: boolean
  /** Absolute: a network namespace that is joined instead of a new one. */
  readonly networkNamespace?: string | undefined
  readonly network?: NetworkPlan | undefined
  readonly console: Exclude<ConsoleMode, 'autopipe'>
  /** In characters; undefined: that of the caller's terminal. */
  readonly consoleSize?: { readonly rows: number; readonly columns: number }
  /** Parameters of SGR. */
  readonly background: string | undefined
  readonly stubInit: boolean
  readonly payload: PayloadPlan
  readonly capabilities: CapabilitySets
  readonly noNewPrivileges: boolean
  /** Written to /proc/self/attr/exec before the payload is executed. */
  readonly selinuxContext: string | undefined
  /** Of the file systems in memory that the root is made of. */
  readonly selinuxApifsContext: string | undefined
  readonly seccomp: readonly SeccompProgram[]
  /** Programs that are loaded last, where nobody may gain privileges any more: they need not allow what comes before. */
  readonly lastSeccomp?: readonly SeccompProgram[]
  readonly hooks?: HooksPlan
  readonly limits: readonly PlannedLimit[]
  readonly oomScoreAdjust: number | undefined
  readonly cpuAffinity: readonly number[] | undefined
  /** PER_LINUX (0) or PER_LINUX32 (8); undefined leaves it. */
  readonly personality: number | undefined
  readonly killSignal: number | undefined
  /** How many descriptors from 3 on the payload inherits (sd_listen_fds(3)). */
  readonly passedDescriptors: number
  readonly notifyReady: boolean
  readonly keepUnit: boolean
  readonly registration: RegistrationPlan
  /** Where to write down which files of the root are opened. */
  readonly openedFiles?: string | undefined
  readonly quiet: boolean
}

/** One line that says what a step does: for `--debug`, and for the error when it fails. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'mount':
      return `mount ${step.fstype} on ${step.target}`
    case 'bind':
      return `bind ${describeSource(step.source)} to ${step.target}`
    case 'remount':
      return `remount ${step.target} ${step.flags.join(',')}`
    case 'overlay':
      return `mount overlay on ${step.target}`
    case 'mask':
      return `make ${step.target} inaccessible`
    case 'directory':
    case 'symlink':
    case 'file':
      return `make ${step.kind} ${step.path}`
    case 'owner':
      return `give ${step.path} to the container's root`
    case 'device':
      return `make device node ${step.path}`
    case 'fifo':
      return `make fifo ${step.path}`
    case 'sysctl':
      return `set the kernel parameter ${step.name}`
    case 'base-filesystem':
      return 'make the base directories'
    case 'inaccessible-nodes':
      return 'make /run/host/inaccessible'
    case 'notify-socket':
      return `make socket ${step.path}`
    case 'bind-users':
      return `bring in ${step.users.map(({ name }) => name).join(', ')} with --bind-user=`
    case 'credentials':
      return `hand over the credentials in ${step.path}`
    case 'identity-files':
      return 'write /run/host/container-manager, container-uuid and a boot ID'
    case 'resolv-conf':
      return `set up /etc/resolv.conf (${step.mode})`
    case 'timezone':
      return `set up /etc/localtime (${step.mode})`
    case 'link-journal':
      return `link the journal (${step.mode})`
    case 'private-sysfs':
      return 'set up /sys for a private network'
  }
}

function describeSource(source: PlannedSource): string {
  return source.kind === 'host' ? source.hostPath : `+${source.path}`
}
