/**
 * A host's tool runs in mount and pid namespaces of its own: whatever it mounts vanishes with it, and it
 * cannot outlive us, whatever kills us.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The fresh /proc hides the registered emulators, which tools look for before they trust them. */
const withEmulators = [
  'sh',
  '-c',
  'mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; exec "$@"',
  'sh',
]

export interface Isolation {
  /** Whether programs of a foreign architecture will run. */
  readonly emulated?: boolean
  /** Tree that gets /dev, /proc and their like, for the scripts of its packages; and `templates/` of this package. */
  readonly apiFileSystems?: { readonly tree: string; readonly templates: string } | undefined
  /**
   * The program gets a /tmp and /var/tmp of its own, made in `directory`. Of what the host has there it sees `seen`:
   * absolute paths, none below another.
   */
  readonly temporary?:
    | {
        readonly directory: string
        readonly seen: readonly string[]
        readonly templates: string
      }
    | undefined
}

/**
 * The command line that starts `argv` so. `setpriv` has the kernel kill `unshare` when this process
 * dies; `unshare` has it kill the first process of the namespace, and with that one all others go.
 *
 * @see PR_SET_PDEATHSIG(2const), pid_namespaces(7)
 */
export function isolated(
  argv: readonly [string, ...string[]],
  { emulated = false, apiFileSystems, temporary }: Isolation = {},
): [string, ...string[]] {
  const dieWithUs = ['--pdeathsig', 'KILL', '--']
  const apart = [
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--kill-child',
    '--mount-proc',
    '--',
  ]
  const withTree =
    apiFileSystems === undefined
      ? []
      : [join(apiFileSystems.templates, 'api-file-systems'), apiFileSystems.tree]
  const withOwnTemporary =
    temporary === undefined
      ? []
      : [
          join(temporary.templates, 'private-temporary'),
          temporary.directory,
          ...temporary.seen,
          '--',
        ]
  const program = [...(emulated ? withEmulators : []), ...withOwnTemporary, ...withTree, ...argv]
  return ['setpriv', ...dieWithUs, 'unshare', ...apart, ...program]
}

/**
 * Ends what `isolated()` started. The first process of the namespace is killed, not `unshare`: that one
 * returns only when nothing of the namespace is left, so nobody writes into a tree being removed.
 *
 * @param pid of the program that was started
 */
export function killIsolated(pid: number): void {
  const inner = childrenOf(pid)
  for (const target of inner.length === 0 ? [pid] : inner) {
    try {
      process.kill(target, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    return text
      .split(' ')
      .filter((word) => word !== '')
      .map(Number)
  } catch {
    return []
  }
}
