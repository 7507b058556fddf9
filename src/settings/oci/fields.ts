/**
 * Every field of a bundle's `config.json`: what it sets, or why it is refused. From this table come docs/oci.md and the
 * messages about fields that are not supported; a test holds it to the schema that we check with, and to the published
 * one.
 */

/** `[]` stands for each element of a list, `*` for each name of an object. */
export interface OciField {
  readonly path: string
  /** What comes of it, for docs/oci.md. */
  readonly sets?: string
  /** Why there is nothing for it to set. */
  readonly refused?: string
}

const sets = (path: string, text: string): OciField => ({ path, sets: text })
const refuses = (path: string, text: string): OciField => ({ path, refused: text })

const programHooks = (name: string, when: string): OciField[] => [
  sets(`hooks.${name}[].path`, when),
  sets(
    `hooks.${name}[].args`,
    'its arguments, the name of the program first; the path alone without',
  ),
  sets(`hooks.${name}[].env`, 'its whole environment'),
  sets(`hooks.${name}[].timeout`, 'seconds after which it is killed, and has failed'),
]

const throttle = (name: string, property: string): OciField[] => {
  const path = `linux.resources.blockIO.${name}[]`
  return [
    sets(`${path}.major`, 'the device'),
    sets(`${path}.minor`, 'the device'),
    sets(`${path}.rate`, `\`${property}=\` of the scope, or the limit of the control group`),
  ]
}

const otherSystem = 'it is for another operating system'
const notOurs = 'containers have nothing like it'

export const ociFields: readonly OciField[] = [
  sets('ociVersion', 'any version 1; what a later one adds is refused by name until it is here'),
  sets('process.terminal', '`true`: as without `--console=`; `false` or nothing: `--console=pipe`'),
  sets('process.consoleSize.height', 'rows of the console'),
  sets('process.consoleSize.width', 'columns of the console'),
  sets(
    'process.user.uid',
    'the user, by number; `HOME`, `USER` and `LOGNAME` are set for root alone',
  ),
  sets('process.user.gid', 'its group'),
  sets('process.user.umask', 'the mask for new files, else 0022'),
  sets('process.user.additionalGids', 'its further groups'),
  refuses('process.user.username', otherSystem),
  sets('process.args', 'the command, as on the command line'),
  refuses('process.commandLine', otherSystem),
  sets('process.env', '`--setenv=`: beside the variables that every container has, and over them'),
  sets('process.cwd', '`--chdir=`'),
  sets(
    'process.capabilities.bounding',
    'exactly these; without `process.capabilities` those that containers keep',
  ),
  sets('process.capabilities.effective', 'exactly these'),
  sets('process.capabilities.permitted', 'exactly these'),
  sets('process.capabilities.inheritable', 'exactly these'),
  sets(
    'process.capabilities.ambient',
    'those that are permitted and inheritable, as the kernel wants it',
  ),
  sets('process.rlimits[].type', '`--rlimit=`'),
  sets('process.rlimits[].soft', 'less than 0 is infinity'),
  sets('process.rlimits[].hard', 'less than 0 is infinity'),
  sets('process.noNewPrivileges', '`--no-new-privileges=`'),
  sets('process.oomScoreAdj', '`--oom-score-adjust=`'),
  sets('process.selinuxLabel', '`--selinux-context=`'),
  refuses('process.apparmorProfile', 'AppArmor profiles are not supported'),
  refuses(
    'process.scheduler',
    'schedulers are not supported; `taskset` and `chrt` in the container are',
  ),
  refuses('process.ioPriority', 'priorities of input and output are not supported'),
  refuses(
    'process.execCPUAffinity',
    'nothing is executed in a container later; use linux.resources.cpu.cpus',
  ),
  sets('root.path', '`--directory=`; relative to the bundle'),
  sets('root.readonly', '`--read-only`'),
  sets('hostname', '`--hostname=`; needs an own UTS namespace'),
  sets('domainname', 'the NIS domain name; needs an own UTS namespace'),
  sets('mounts[].destination', 'sorted: what lies above comes first'),
  sets('mounts[].source', 'of a bind mount: relative to the bundle; else as mount(2) takes it'),
  sets('mounts[].type', '`bind` or nothing: `--bind=`; any other: a file system of its own'),
  sets('mounts[].options', 'see below'),
  refuses('mounts[].uidMappings', 'mounts with a mapping of their own are not supported'),
  refuses('mounts[].gidMappings', 'mounts with a mapping of their own are not supported'),
  ...programHooks('prestart', 'run on the host when the namespaces are there, before the payload'),
  ...programHooks('createRuntime', 'the same, after `prestart`'),
  refuses(
    'hooks.createContainer',
    'at no moment is the tree in sight beside the host where such a hook looks; use createRuntime, mounts or startContainer',
  ),
  ...programHooks(
    'startContainer',
    'a program of the container, run in it as its root right before the payload, with no more privileges',
  ),
  ...programHooks(
    'poststart',
    'run on the host when the payload has been started; a failure is a warning',
  ),
  ...programHooks('poststop', 'run on the host when the container is gone; a failure is a warning'),
  sets('annotations.*', 'told to hooks'),
  sets(
    'linux.namespaces[].type',
    '`pid network ipc uts user cgroup mount`; what is not listed is shared with the host, `mount` has to be listed',
  ),
  sets('linux.namespaces[].path', 'of `network` alone: `--network-namespace-path=`'),
  sets('linux.uidMappings[].containerID', 'has to be 0'),
  sets('linux.uidMappings[].hostID', '`--private-users=`, with owners of files left as they are'),
  sets('linux.uidMappings[].size', '`--private-users=`'),
  sets('linux.gidMappings[].containerID', 'has to be 0'),
  sets('linux.gidMappings[].hostID', 'has to be that of `uidMappings`'),
  sets('linux.gidMappings[].size', 'has to be that of `uidMappings`'),
  refuses('linux.timeOffsets', 'time namespaces are not supported'),
  sets('linux.devices[].type', '`c`, `u`, `b` or `p`'),
  sets('linux.devices[].path', 'below `/dev`; nodes that every container has are passed over'),
  sets('linux.devices[].major', 'its number'),
  sets('linux.devices[].minor', 'its number'),
  sets('linux.devices[].fileMode', '0644 without'),
  sets('linux.devices[].uid', 'its owner, in the container'),
  sets('linux.devices[].gid', 'its group, in the container'),
  refuses('linux.netDevices', 'use --network-interface= beside the bundle'),
  sets('linux.cgroupsPath', 'a path that ends in a slice: `--slice=`'),
  sets(
    'linux.resources.devices[].allow',
    '`false` with nothing else: only what is allowed; other devices cannot be forbidden one by one',
  ),
  sets(
    'linux.resources.devices[].type',
    '`DeviceAllow=` of the scope, or the list of the control group',
  ),
  sets('linux.resources.devices[].major', 'the same'),
  sets('linux.resources.devices[].minor', 'the same'),
  sets('linux.resources.devices[].access', 'the same; `rwm` without'),
  sets(
    'linux.resources.memory.limit',
    '`MemoryMax=` of the scope, or the limit of the control group',
  ),
  sets('linux.resources.memory.reservation', '`MemoryLow=`, or the same of the control group'),
  sets(
    'linux.resources.memory.swap',
    'with the memory; less the limit: `MemorySwapMax=`, or the same of the control group',
  ),
  refuses('linux.resources.memory.kernel', 'kernels do not have it any more'),
  refuses('linux.resources.memory.kernelTCP', 'kernels with a unified hierarchy do not have it'),
  refuses('linux.resources.memory.swappiness', 'kernels with a unified hierarchy do not have it'),
  refuses(
    'linux.resources.memory.disableOOMKiller',
    'kernels with a unified hierarchy do not have it',
  ),
  refuses('linux.resources.memory.useHierarchy', 'kernels always do it by now'),
  refuses('linux.resources.memory.checkBeforeUpdate', 'limits are set once'),
  sets(
    'linux.resources.cpu.shares',
    '`CPUWeight=` of the scope, or the shares of the control group',
  ),
  sets(
    'linux.resources.cpu.quota',
    'with the period (100 ms without): `CPUQuota=`, or the quota of the control group',
  ),
  sets('linux.resources.cpu.period', 'in microseconds'),
  sets('linux.resources.cpu.cpus', '`--cpu-affinity=`'),
  refuses('linux.resources.cpu.mems', 'memory nodes are not supported'),
  refuses('linux.resources.cpu.realtimePeriod', 'kernels with a unified hierarchy do not have it'),
  refuses('linux.resources.cpu.realtimeRuntime', 'kernels with a unified hierarchy do not have it'),
  refuses('linux.resources.cpu.idle', notOurs),
  refuses('linux.resources.cpu.burst', notOurs),
  sets('linux.resources.pids.limit', '`TasksMax=` of the scope, or the limit of the control group'),
  sets(
    'linux.resources.blockIO.weight',
    '`IOWeight=` of the scope, or the weight of the control group',
  ),
  refuses('linux.resources.blockIO.leafWeight', 'kernels do not have it any more'),
  refuses('linux.resources.blockIO.weightDevice', 'weights of single devices are not supported'),
  ...throttle('throttleReadBpsDevice', 'IOReadBandwidthMax'),
  ...throttle('throttleWriteBpsDevice', 'IOWriteBandwidthMax'),
  ...throttle('throttleReadIOPSDevice', 'IOReadIOPSMax'),
  ...throttle('throttleWriteIOPSDevice', 'IOWriteIOPSMax'),
  refuses('linux.resources.hugepageLimits', 'limits of huge pages are not supported'),
  refuses('linux.resources.network', 'classes and priorities of network traffic are not supported'),
  refuses('linux.resources.rdma', 'limits of RDMA are not supported'),
  refuses(
    'linux.resources.unified',
    'files of control groups are not set by name; use --property=',
  ),
  sets(
    'linux.sysctl.*',
    '`kernel.domainname`, `kernel.hostname`, `kernel.msgmax`, `msgmnb`, `msgmni`, `sem`, `shmall`, `shmmax`, `shmmni`, `shm_rmid_forced`, `fs.mqueue.*` and `net.*`, each only where its namespace is the container’s own',
  ),
  sets(
    'linux.seccomp.defaultAction',
    'of calls that no rule names; the profile takes the place of the filter that containers have',
  ),
  sets('linux.seccomp.defaultErrnoRet', 'what the default action answers, else `EPERM`'),
  sets(
    'linux.seccomp.flags',
    '`SECCOMP_FILTER_FLAG_LOG`; `SECCOMP_FILTER_FLAG_TSYNC` changes nothing',
  ),
  sets('linux.seccomp.architectures', 'those that may make calls at all, beside the host’s own'),
  sets('linux.seccomp.syscalls[].names', 'names that no kernel knows are passed over'),
  sets('linux.seccomp.syscalls[].action', 'the first rule that fits decides'),
  sets(
    'linux.seccomp.syscalls[].errnoRet',
    'what it answers, else `EPERM`; of `SCMP_ACT_TRACE` what the tracer is told',
  ),
  sets(
    'linux.seccomp.syscalls[].args[].index',
    'the argument; where one is named twice, one of the comparisons is enough',
  ),
  sets('linux.seccomp.syscalls[].args[].value', 'whole numbers below 2⁵³'),
  sets(
    'linux.seccomp.syscalls[].args[].valueTwo',
    'of `SCMP_CMP_MASKED_EQ`, where `value` is the mask',
  ),
  sets('linux.seccomp.syscalls[].args[].op', 'the comparison'),
  refuses('linux.seccomp.listenerPath', 'nobody listens for calls'),
  refuses('linux.seccomp.listenerMetadata', 'nobody listens for calls'),
  sets(
    'linux.rootfsPropagation',
    '`private` and `rprivate`: nothing that the host mounts later is seen, and nothing gets out',
  ),
  sets('linux.maskedPaths', '`--inaccessible=`, where there is such a path'),
  sets('linux.readonlyPaths', 'a read-only bind mount on itself, where there is such a path'),
  sets('linux.mountLabel', '`--selinux-apifs-context=`'),
  refuses('linux.intelRdt', 'classes of service of processors are not supported'),
  refuses('linux.memoryPolicy', 'policies of memory nodes are not supported'),
  sets('linux.personality.domain', '`--personality=`: that of the host, or its 32-bit one'),
  refuses('linux.personality.flags', 'the specification names no flags'),
  refuses('solaris', otherSystem),
  refuses('windows', otherSystem),
  refuses('freebsd', otherSystem),
  refuses('zos', otherSystem),
  refuses('vm', 'it is for virtual machines'),
]
