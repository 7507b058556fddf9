/**
 * Where we differ from systemd-nspawn 252 on purpose, and why. A difference that is not listed fails
 * its test; so does a listed one that is not seen any more.
 */
import type { Mismatch } from './facts.ts'

export interface Difference {
  readonly title: string
  readonly reason: string
  readonly keys: RegExp
  /** What each side has to say there; left out means anything. */
  readonly real?: RegExp
  readonly ours?: RegExp
}

const newer = (since: string) => `follows the current systemd (${since} and newer)`

export const differences: readonly Difference[] = [
  {
    title: 'files of /proc that tell about the host are masked',
    reason: `${newer('260')}; before, the masks silently had no effect`,
    keys: /^(mount|inode|open for writing) \/proc\/(kallsyms|kcore|keys|sysrq-trigger|timer_list)$/,
  },
  {
    title: '/run/host/container-manager and container-uuid have mode 0444',
    reason: newer('256'),
    keys: /^run \/run\/host\/container-(manager|uuid)$/,
    real: /^file 0644/,
    ours: /^file 0444/,
  },
  {
    title: '/run/host/notify has mode 0200',
    reason: newer('256'),
    keys: /^run \/run\/host\/notify$/,
    real: /^socket 0755/,
    ours: /^socket 0200/,
  },
  {
    title: '/run/host/inaccessible has mode 0555',
    reason: newer('258'),
    keys: /^run \/run\/host\/inaccessible$/,
    real: /^directory 0755/,
    ours: /^directory 0555/,
  },
  {
    title: '/run/host/incoming is private where the host does not share its mounts',
    reason: 'the original has a second, hidden copy of it, which it is a slave of',
    keys: /^mount \/run\/host\/incoming$/,
    real: /\[master\]$/,
    ours: /\[private\]$/,
  },
  {
    title: 'NET_BIND_SERVICE goes with an identity map too',
    reason: `${newer('256')}; 252 looks at the first id of the range`,
    keys: /^status Cap(Bnd|Eff|Inh|Prm)$/,
    real: /^00000000fdecafff$/,
    ours: /^00000000fdecabff$/,
  },
  {
    title: '--timezone=symlink copies the zone file where the tree has no such zone',
    reason: 'the original leaves a link that leads nowhere, so the time zone is lost',
    keys: /^(content|inode|tree) \/etc\/localtime$/,
    real: /^(579|link -> \/usr\/share\/zoneinfo\/.*|<absent>)$/,
    ours: /^(\d+|file 0644 0:0.*)$/,
  },
  {
    title: '/dev/fuse is there',
    reason: newer('257'),
    keys: /^dev \/dev\/(fuse|char\/10:229)$/,
    real: /^<absent>$/,
  },
  {
    title: 'what is bound over boot_id and kmsg lies below /run/host',
    reason: `${newer('258')}; the original makes files in /run and deletes them`,
    keys: /^(mount \/proc\/kmsg|mount \/proc\/sys\/kernel\/random\/boot_id( #2)?|run \/run\/host\/proc-.*)$/,
  },
  {
    title: 'no second, hidden mounts below /run/host',
    reason:
      'the original binds /run/host over itself after the mounts in it were made; we bind it first',
    keys: /^mount \/run\/host\/(os-release|incoming|credentials|home\/[^ ]+) #2$/,
    ours: /^<absent>$/,
  },
  {
    title: 'one seccomp program in place of one for each ABI',
    reason:
      'a program of ours judges every ABI of the machine; the verdicts are compared call by call',
    keys: /^status Seccomp_filters$/,
  },
  {
    title: 'system calls that 252 does not know follow the current groups',
    reason: newer('258'),
    keys: /^syscall (44[4-6]|45\d|46\d)$/,
    real: /^(EPERM|ENOSYS)$/,
  },
  {
    title: 'the payload dies with the runtime',
    reason: 'the parent-death signal is set last, so that changing users does not clear it',
    keys: /^prctl pdeathsig$/,
    real: /^0$/,
    ours: /^9$/,
  },
  {
    title: 'with --keep-unit the container stays in the control group of the caller',
    reason:
      'the original makes sub-groups in it, gives them to the container’s users and leaves them behind',
    keys: /^cgroupfs \/sys\/fs\/cgroup\/(systemd|unified)$/,
  },
  {
    title: 'the control group tmpfs is read-only as a mount, not as a file system',
    reason: 'nothing inside can tell',
    keys: /^mount \/sys\/fs\/cgroup$/,
    real: /\(ro,/,
    ours: /\(rw,/,
  },
  {
    title: 'the stub init shows only its own environment',
    reason: 'the original needs CAP_SYS_RESOURCE for that and shows the caller’s without it',
    keys: /^pid1 environ$/,
    ours: /^container=systemd-nspawn container_uuid=/,
  },
  {
    title: 'overlays name their layers by descriptors and never sync what is thrown away',
    reason:
      'unmounting would write it to disk first; descriptors need no escaping and cannot be swapped',
    keys: /^mount /,
    real: /^overlay /,
    ours: /^overlay .*lowerdir=\/proc\/self\/fd\//,
  },
  {
    title: 'an ephemeral tree is an overlay where the original copies it',
    reason: 'a copy of the tree costs a hundred times more',
    keys: /^mount \/$/,
    real: /machines\/\.#machine\.parity/,
    ours: /^overlay /,
  },
  {
    title: 'inaccessible paths are covered by nodes of the container’s own /run/host',
    reason:
      'the original takes the ones that systemd made on the host, and fails where there are none',
    keys: /^mount \/(etc\/passwd|opt)$/,
    real: /root=\/systemd\/inaccessible\//,
    ours: /root=\/host\/inaccessible\//,
  },
  {
    title: 'the home of --bind-user= is an ID-mapped mount',
    reason: newer('259'),
    keys: /^mount \/run\/host\/home\/[^ ]+$/,
    real: /rw,relatime \(/,
    ours: /rw,relatime,idmapped \(/,
  },
  {
    title: 'the ID map of a container with --bind-user= has no holes',
    reason: newer('259'),
    keys: /^[ug]id_map$/,
    real: /\s5432[12]\s+1\\x0a/,
    ours: /^\s*0\s+\d+\s+65536\\x0a$/,
  },
  {
    title: 'a temporary directory is named after its owner',
    reason: 'so that the next run can tell that its owner is gone, and remove it',
    keys: /^mount \/mnt$/,
    real: /root=\/var\/tmp\/nspawn-temp-/,
    ours: /root=\/var\/tmp\/\.#machine\.temp/,
  },
]

/** The entry that explains a mismatch, if one does. */
export function explain(mismatch: Mismatch): Difference | undefined {
  return differences.find(
    ({ keys, real, ours }) =>
      keys.test(mismatch.key) &&
      (real?.test(mismatch.real) ?? true) &&
      (ours?.test(mismatch.ours) ?? true),
  )
}
