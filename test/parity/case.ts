/** One row of the comparison with the real systemd-nspawn: a command line and what is compared. */

/** The things on the host that the cases use; the same for both programs, fresh for each run. */
export interface Place {
  /** The Debian tree both start, `parity` by name; lies in the machines directory. */
  readonly tree: string
  /** A directory with files to bind: `shared/`, `file`, `lower1/`, `lower2/`, `upper/`. */
  readonly files: string
  /** A directory with a file and a tmpfs mounted at `inner`. */
  readonly mounts: string
}

export interface ParityCase {
  /** The option it is about, as the man page writes it; cases are listed by it. */
  readonly option: string
  /** What is the same, as a promise. */
  readonly title: string
  readonly args: (place: Place) => readonly string[]
  /**
   * `facts`: the probe runs inside and everything it sees is compared. `outcome`: exit status and
   * output are. `refusal`: both fail with the same status, say why and start nothing.
   */
  readonly compare: 'facts' | 'outcome' | 'refusal'
  /** The command inside; default the probe (`facts`) or `true`. */
  readonly command?: readonly string[]
  /** More of the probe: attempts to write, all system calls, paths to read. */
  readonly probe?: readonly ('writes' | 'syscalls')[]
  readonly read?: readonly string[]
  /** Without `--directory=` of the tree: the case names its own root. */
  readonly ownRoot?: boolean
  /** The working directory of the caller; default `/`. */
  readonly from?: (place: Place) => string
  /** Changes of the caller's environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** Runs in a terminal; what is typed there. */
  readonly terminal?: { readonly type?: string }
  readonly input?: string
  /** Shell lines that run on the host before each side, with $TREE and $FILES. */
  readonly prepare?: string
  /** Sent to the runtime when the payload has printed `ready`. */
  readonly signal?: { readonly name: NodeJS.Signals; readonly times?: number }
  /** `parity.nspawn` beside the tree, and in /run/systemd/nspawn, where it is trusted. */
  readonly settings?: (place: Place) => { readonly beside?: string; readonly trusted?: string }
  /** The whole tree is changed by it, so each side gets a copy of its own. */
  readonly freshTree?: boolean
  /** For a refusal: what the message of ours has to name. */
  readonly names?: RegExp
}
