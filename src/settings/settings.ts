/**
 * What was asked for: one readonly value, fully checked, plain JSON. Command line and `.nspawn` file or OCI bundle
 * are merged into it, and after that nobody looks at strings again. Builds and tests make the same value directly (`defaultSettings()` and a spread).
 */

import type { ImagePolicy } from './values/image-policy.ts'
import type { ForwardedPort, LinkNames } from './values/network.ts'
import type { RootHashSignature } from './values/root-hash.ts'

/** Where the root tree comes from; `images/` turns it into a path that exists. */
export type RootSource =
  | { readonly kind: 'current-directory' }
  /** `--directory=`, absolute. */
  | { readonly kind: 'directory'; readonly path: string }
  /** `--image=`: a disk image or a block device, absolute. */
  | { readonly kind: 'image'; readonly path: string }
  /** `--machine=` alone: searched for in the machines directories. */
  | { readonly kind: 'machine'; readonly name: string }
  /**
   * An overlay of trees, only through the library: builds stack base, toolchain and dependencies.
   * `layers` lists absolute directories, bottom first; what is written goes to `upper` (an absolute
   * directory on disk; its sibling `workDirectory` must be empty and on the same file system).
   * Owners in all of them count from 0, whatever range the container's users have on the host.
   * `keep` says that the upper becomes a layer itself, so it is synced; else it is mounted volatile.
   * With `volatile: 'overlay'` what is written stays in memory, and `upper` as it is.
   */
  | {
      readonly kind: 'layers'
      readonly layers: readonly string[]
      readonly upper: string
      readonly workDirectory: string
      readonly keep: boolean
    }

/** How a disk image is used; of no effect for trees. */
export interface ImageSettings {
  /** Undefined: systemd-nspawn's. */
  readonly policy: ImagePolicy | undefined
  /** Lower-case hexadecimal digits. */
  readonly rootHash: string | undefined
  readonly rootHashSignature: RootHashSignature | undefined
  /** A file with the hashes, absolute. */
  readonly verityData: string | undefined
  /** Of an encrypted partition, absolute. */
  readonly keyFile: string | undefined
  /** Whether a person may be asked for a passphrase. */
  readonly askPassphrase: boolean
}

export type VolatileMode = 'no' | 'yes' | 'state' | 'overlay'
export type Ownership = 'off' | 'chown' | 'map' | 'auto' | 'foreign'
export type ConsoleMode = 'interactive' | 'read-only' | 'passive' | 'pipe' | 'autopipe'
/** `--pivot-root=`: absolute paths in the tree. */
export interface PivotRoot {
  readonly newRoot: string
  /** In the new root; undefined drops the rest of the tree. */
  readonly oldRoot: string | undefined
}

export type StartMode = 'command' | 'stub-init' | 'boot'
export type BindIdMap = 'noidmap' | 'idmap' | 'rootidmap' | 'owneridmap'
export type TimezoneMode = 'off' | 'copy' | 'bind' | 'symlink' | 'delete' | 'auto'
export type ResolvConfMode =
  | 'off'
  | 'auto'
  | 'delete'
  | `${'copy' | 'replace' | 'bind'}-${'host' | 'static' | 'uplink' | 'stub'}`

export type PrivateUsers =
  | { readonly mode: 'no' }
  /** The range that the owner of the root directory lies in. */
  | { readonly mode: 'owner' }
  | { readonly mode: 'range'; readonly base: number; readonly length: number }
  /** An unused range. `skip` (`-U`): none at all where the kernel has no user namespaces. */
  | { readonly mode: 'pick'; readonly unsupported?: 'fail' | 'skip' | undefined }
  | { readonly mode: 'identity' }

/** Where the source of a bind or overlay lies. */
export type MountSource =
  | { readonly kind: 'host'; readonly path: string }
  /** `+PATH`: resolved beneath the container's root. */
  | { readonly kind: 'container'; readonly path: string }
  /** Empty source: a fresh directory below /var/tmp, deleted at the end. */
  | { readonly kind: 'temporary' }

/** Of a mount, as mount(8) says them. */
export type MountAttribute = 'ro' | 'nosuid' | 'nodev' | 'noexec'

/** Of a mount of a file system of its own, as mount(8) says them. */
export type FileSystemFlag =
  | MountAttribute
  | 'strictatime'
  | 'relatime'
  | 'noatime'
  | 'nodiratime'
  | 'lazytime'
  | 'sync'
  | 'dirsync'
  | 'nosymfollow'

export type CustomMount =
  | {
      readonly kind: 'bind'
      readonly source: MountSource
      readonly destination: string
      readonly access: 'read-write' | 'read-only'
      readonly recursive: boolean
      readonly idMap: BindIdMap
      /** Only from a bundle: beyond read-only. */
      readonly attributes?: readonly MountAttribute[] | undefined
      /** Only from a bundle: what the host mounts below later does not show. */
      readonly propagation?: 'private' | undefined
      /** Only from a bundle: what to do when there is no source. */
      readonly missing?: 'ignore' | undefined
    }
  | { readonly kind: 'tmpfs'; readonly destination: string; readonly options: string }
  /** Only from a bundle: a file system of any type. */
  | {
      readonly kind: 'file-system'
      readonly fstype: string
      readonly source: string
      readonly destination: string
      readonly flags: readonly FileSystemFlag[]
      /** Of the file system itself, as mount(2) takes them. */
      readonly options: string
    }
  | {
      readonly kind: 'overlay'
      /** Bottom first, as on the command line. */
      readonly lowers: readonly MountSource[]
      readonly upper: MountSource
      readonly destination: string
      readonly access: 'read-write' | 'read-only'
    }
  | {
      readonly kind: 'inaccessible'
      readonly destination: string
      /** Only from a bundle: what to do when there is no such path. */
      readonly missing?: 'ignore' | undefined
    }

/** A secret for the container, by the name of its file in $CREDENTIALS_DIRECTORY. */
export interface Credential {
  readonly name: string
  readonly source:
    | { readonly kind: 'value'; readonly base64: string }
    /** Absolute: a file, or a stream socket that hands it out. */
    | { readonly kind: 'file'; readonly path: string }
}

/** Kernel names without the RLIMIT_ prefix (`NOFILE`); `null` stands for infinity. */
export interface ResourceLimit {
  readonly soft: number | null
  readonly hard: number | null
}

export interface SystemCallFilter {
  /** Call names and `@groups`, in the order given. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

/** What `$SYSTEMD_NSPAWN_…` and `$SYSTEMD_…` variables of the caller change; there are no options for it. */
export interface Tuning {
  /** `SYSTEMD_NSPAWN_API_VFS_WRITABLE`: /proc/sys, /sys and the masks. */
  readonly apiVfs: 'read-only' | 'writable' | 'network-writable'
  /** `SYSTEMD_NSPAWN_SHARE_NS_IPC`, `_PID`, `_UTS`, `SYSTEMD_NSPAWN_SHARE_SYSTEM`: namespaces not made. */
  readonly shared: readonly ('ipc' | 'pid' | 'uts')[]
  /** `SYSTEMD_NSPAWN_TMPFS_TMP=0` turns it off. */
  readonly tmpfsOnTmp: boolean
  /** `SYSTEMD_NSPAWN_USE_CGNS=0` turns it off. */
  readonly cgroupNamespace: boolean
  /** `SYSTEMD_NSPAWN_UNIFIED_HIERARCHY`, older `UNIFIED_CGROUP_HIERARCHY`; undefined chooses by host and tree. */
  readonly unifiedCgroup: boolean | undefined
  /** `SYSTEMD_NSPAWN_CONTAINER_SERVICE`: value of `container=`. */
  readonly containerService: string
  /** `SYSTEMD_NSPAWN_LOCK=0` turns image locks off. */
  readonly lockImages: boolean
  /** `SYSTEMD_NSPAWN_CHECK_OS_RELEASE=0` turns the check of the tree off. */
  readonly checkOsTree: boolean
  /** `SYSTEMD_NSPAWN_NETWORK_MAC`: of the container's side of its virtual cable. */
  readonly networkMac?: string | undefined
  /** `SYSTEMD_SECCOMP=0`: no filters at all. `SYSTEMD_LOG_SECCOMP=1`: refusals are logged by the kernel. */
  readonly seccomp: 'on' | 'log' | 'off'
}

/** Links of a network of its own. */
export interface NetworkSettings {
  /** Absolute: an existing network namespace, instead of a new one. */
  readonly namespacePath: string | undefined
  readonly interfaces: readonly LinkNames[]
  readonly macvlans: readonly LinkNames[]
  readonly ipvlans: readonly LinkNames[]
  /** A virtual cable to the host; also with a bridge or a zone. */
  readonly veth: boolean
  readonly extraVeths: readonly LinkNames[]
  /** An interface of the host. */
  readonly bridge: string | undefined
  /** The bridge of a zone, with its prefix. */
  readonly zone: string | undefined
  readonly ports: readonly ForwardedPort[]
  /** `auto`: addresses, routes and masquerading where nobody else takes care of the cable. */
  readonly setup: 'no' | 'auto'
}

/** Limits that all processes of a container share (systemd.resource-control(5)). */
export interface ResourceControl {
  /** Memory and swap together. */
  readonly memoryBytes?: number | undefined
  /** Processes and threads. */
  readonly tasks?: number | undefined
  /** Processors' worth of time: `1.5`. */
  readonly cpus?: number | undefined
  /** Beside the memory: 0 unless said otherwise, `null` for as much as there is. */
  readonly swapBytes?: number | null | undefined
  /** Memory that is left to the container as long as others have some to give. */
  readonly memoryLowBytes?: number | undefined
  /** Of processor time beside others: 2 to 262144, 1024 is usual. */
  readonly cpuShares?: number | undefined
  /** Of block devices beside others: 10 to 1000, 500 is usual. */
  readonly ioWeight?: number | undefined
  readonly ioLimits?: readonly IoLimit[] | undefined
  /** The device nodes that may be used beside those that every container has. */
  readonly devices?: readonly DeviceRule[] | undefined
}

/** A limit of one block device. */
export interface IoLimit {
  readonly device: { readonly major: number; readonly minor: number }
  readonly what: 'read-bytes' | 'write-bytes' | 'read-operations' | 'write-operations'
  readonly perSecond: number
}

export interface DeviceRule {
  readonly type: 'character' | 'block'
  readonly major: number | 'any'
  readonly minor: number | 'any'
  /** Of `r`, `w` and `m` (make a node). */
  readonly access: string
}

/** What an OCI bundle says beyond what options can (OCI runtime specification, config.md). */
export interface BundleSettings {
  /** Its directory, absolute. */
  readonly path: string
  /** Of the specification that it follows. */
  readonly version: string
  readonly annotations: Readonly<Record<string, string>>
  readonly hooks: BundleHooks
  /** Numbers that are looked up nowhere. */
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
  readonly umask?: number
  /** Exactly these, whatever is kept by default. */
  readonly capabilities?: CapabilityNames
  /** In characters. */
  readonly consoleSize?: { readonly rows: number; readonly columns: number }
  readonly devices: readonly DeviceNode[]
  /** Names with dots. */
  readonly sysctls: Readonly<Record<string, string>>
  /** Instead of the filter that containers have. */
  readonly seccomp?: SeccompProfile
}

export interface Hook {
  /** Absolute. */
  readonly path: string
  /** With the name of the program. */
  readonly argv: readonly string[]
  /** `NAME=VALUE`; all that there is. */
  readonly environment: readonly string[]
  /** Undefined: it may take what it takes. */
  readonly timeoutSeconds: number | undefined
}

/** Programs at moments of a container's life. */
export type BundleHooks = Readonly<
  Record<
    'prestart' | 'createRuntime' | 'startContainer' | 'poststart' | 'poststop',
    readonly Hook[]
  >
>

/** The five sets, names as the kernel headers write them. */
export type CapabilityNames = Readonly<
  Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', readonly string[]>
>

export interface DeviceNode {
  /** Absolute, below /dev. */
  readonly path: string
  readonly type: 'character' | 'block' | 'fifo'
  readonly major: number
  readonly minor: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** What a filter does with a system call. `trace` tells a tracer this value. */
export type SeccompAction =
  | { readonly kind: 'allow' | 'log' | 'kill-thread' | 'kill-process' | 'trap' }
  | { readonly kind: 'errno'; readonly errno: number }
  | { readonly kind: 'trace'; readonly value: number }

/** One argument compared with a number; they have 64 bits, without sign. */
export type SeccompCondition =
  | {
      readonly operator: 'equal' | 'not-equal' | 'less' | 'at-most' | 'at-least' | 'greater'
      /** 0 to 5. */
      readonly index: number
      readonly value: number
    }
  /** Of the bits in `mask` those in `value` are set. */
  | {
      readonly operator: 'masked'
      readonly index: number
      readonly mask: number
      readonly value: number
    }

export interface SeccompProfile {
  readonly defaultAction: SeccompAction
  /** Beside the host's own. */
  readonly architectures: readonly ('x86' | 'x32' | 'x86-64' | 'arm' | 'arm64')[]
  /** Whether the kernel notes what is refused. */
  readonly log: boolean
  /** The first that fits decides. Names of calls that nobody knows are passed over. */
  readonly rules: readonly {
    readonly names: readonly string[]
    readonly action: SeccompAction
    /** All of them hold. */
    readonly conditions: readonly SeccompCondition[]
  }[]
}

export interface Settings {
  readonly root: RootSource
  /** `--template=`: the tree that `root` is copied from when it does not exist yet. */
  readonly template: string | undefined
  readonly image: ImageSettings
  readonly ephemeral: boolean
  readonly access: 'read-write' | 'read-only'
  readonly volatile: VolatileMode
  readonly pivotRoot: PivotRoot | undefined
  readonly startMode: StartMode
  /** Program and arguments, or init's arguments with `boot`; empty means the user's shell. */
  readonly command: readonly string[]
  readonly workingDirectory: string | undefined
  readonly environment: readonly { readonly name: string; readonly value: string }[]
  readonly user: string | undefined
  /** Signal number for the leader at SIGTERM, SIGINT or SIGHUP; undefined means kill at once. */
  readonly killSignal: number | undefined
  readonly notifyReady: boolean
  readonly suppressSync: boolean
  readonly machine: string | undefined
  readonly hostname: string | undefined
  /** 32 lower-case hexadecimal digits. */
  readonly uuid: string | undefined
  /** `hidden`: only who knows the name finds it; neither machined nor a list has it. */
  readonly register: 'yes' | 'no' | 'auto' | 'hidden'
  readonly keepUnit: boolean
  readonly slice: string | undefined
  readonly properties: readonly string[]
  /** Set through systemd where it owns the control groups, else on groups of ours; there is no option for it. */
  readonly resourceControl: ResourceControl | undefined
  readonly privateUsers: PrivateUsers
  readonly ownership: Ownership
  readonly privateNetwork: boolean
  readonly network: NetworkSettings
  /** Capability names as the kernel headers write them (`CAP_NET_ADMIN`). */
  readonly capabilities: {
    readonly add: readonly string[]
    readonly drop: readonly string[]
    readonly ambient: readonly string[]
  }
  readonly noNewPrivileges: boolean
  readonly systemCallFilter: SystemCallFilter
  readonly resourceLimits: Readonly<Record<string, ResourceLimit>>
  readonly oomScoreAdjust: number | undefined
  readonly cpuAffinity: readonly number[] | undefined
  /** The last two only from a bundle: the host's own, and what goes with its 32-bit sibling. */
  readonly personality: 'x86' | 'x86-64' | 'arm' | 'arm64' | 'host' | 'host-32-bit' | undefined
  /** Labels of the payload, and of the file systems in memory that are made for it. */
  readonly selinux: {
    readonly context: string | undefined
    readonly apifsContext: string | undefined
  }
  readonly resolvConf: ResolvConfMode
  readonly timezone: TimezoneMode
  readonly linkJournal: 'no' | 'auto' | 'guest' | 'host' | 'try-guest' | 'try-host'
  readonly mounts: readonly CustomMount[]
  /** Users of the host that are brought in, and what they are given. Each name once. */
  readonly bindUsers: {
    readonly names: readonly string[]
    /** `host`: the one that each has there. `none`: the container's default. */
    readonly shell:
      | { readonly kind: 'none' }
      | { readonly kind: 'host' }
      | { readonly kind: 'path'; readonly path: string }
    readonly groups: readonly string[]
  }
  /** Each name once. */
  readonly credentials: readonly Credential[]
  /** Only through the library: whoever runs in the container may read them; default as systemd-nspawn decides. */
  readonly credentialReaders?: 'everybody' | undefined
  readonly console: ConsoleMode | undefined
  /** Of the terminal while the container runs: parameters of SGR, such as `44`. */
  readonly background: string | undefined
  /**
   * Only through the library, and with users of its own: absolute path of a file on the host that must not be there.
   * It gets the path of each file that is opened on the file system of the root, as the container sees it, at
   * its first opening, with a NUL behind. An empty one says that some were lost.
   */
  readonly openedFiles?: string | undefined
  /** Undefined without `--oci-bundle=`. */
  readonly bundle?: BundleSettings | undefined
  readonly quiet: boolean
  readonly tuning: Tuning
}

/** systemd-nspawn's defaults, before any option is read. */
export function defaultSettings(): Settings {
  return {
    root: { kind: 'current-directory' },
    template: undefined,
    image: {
      policy: undefined,
      rootHash: undefined,
      rootHashSignature: undefined,
      verityData: undefined,
      keyFile: undefined,
      askPassphrase: true,
    },
    ephemeral: false,
    access: 'read-write',
    volatile: 'no',
    pivotRoot: undefined,
    startMode: 'command',
    command: [],
    workingDirectory: undefined,
    environment: [],
    user: undefined,
    killSignal: undefined,
    notifyReady: false,
    suppressSync: false,
    machine: undefined,
    hostname: undefined,
    uuid: undefined,
    register: 'auto',
    keepUnit: false,
    slice: undefined,
    properties: [],
    resourceControl: undefined,
    privateUsers: { mode: 'no' },
    ownership: 'off',
    privateNetwork: false,
    network: {
      namespacePath: undefined,
      interfaces: [],
      macvlans: [],
      ipvlans: [],
      veth: false,
      extraVeths: [],
      bridge: undefined,
      zone: undefined,
      ports: [],
      setup: 'no',
    },
    capabilities: { add: [], drop: [], ambient: [] },
    noNewPrivileges: false,
    systemCallFilter: { allow: [], deny: [] },
    resourceLimits: {},
    oomScoreAdjust: undefined,
    cpuAffinity: undefined,
    personality: undefined,
    selinux: { context: undefined, apifsContext: undefined },
    resolvConf: 'auto',
    timezone: 'auto',
    linkJournal: 'auto',
    mounts: [],
    bindUsers: { names: [], shell: { kind: 'none' }, groups: [] },
    credentials: [],
    console: undefined,
    background: undefined,
    quiet: false,
    tuning: {
      apiVfs: 'read-only',
      shared: [],
      tmpfsOnTmp: true,
      cgroupNamespace: true,
      unifiedCgroup: undefined,
      containerService: 'systemd-nspawn',
      lockImages: true,
      checkOsTree: true,
      seccomp: 'on',
    },
  }
}
