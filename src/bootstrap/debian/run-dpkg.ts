/** Runs the tree's own dpkg in a container of the tree, and says which package failed at what. */
import { NspawnError } from '../../errors.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreePlan } from '../plan.ts'
import type { ToolLog } from '../tool-log.ts'

/** Where packages are seen inside; the container's own /run leaves nothing in the tree. */
const inside = '/run/packages'

/** Lines of output that are looked through for the cause of a failure. */
const remembered = 200

export interface DpkgRun extends TreeInMaking {
  /** Directory of package files on the host. */
  readonly packages: string
  readonly users: TreePlan['users']
}

/**
 * @param words options of dpkg and its action, with names of packages where it wants such
 * @param files names in the directory of packages
 * @throws NspawnError `BOOTSTRAP_FAILED`, `BOOTSTRAP_SCRIPT`, `ENOSPC`
 */
export async function runDpkg(
  { root, packages, users, log, context }: DpkgRun,
  words: readonly string[],
  files: readonly string[],
): Promise<void> {
  // Nothing has to be on disk before the tree is published, so dpkg need not wait for that.
  const command = [
    'dpkg',
    '--force-unsafe-io',
    ...words,
    ...files.map((name) => `${inside}/${name}`),
  ] as const
  const said: string[] = []
  let done = 0
  const onLine = (line: string) => {
    said.push(line)
    if (said.length > remembered) said.shift()
    const told = /^(Unpacking|Setting up) (\S+)/.exec(line)
    if (told === null) return
    const what = `${told[1] === 'Unpacking' ? 'unpacking' : 'configuring'} ${told[2]}`
    context.log({ kind: 'progress', text: what, done: ++done, total: undefined, unit: 'packages' })
  }
  const { status } = await runInTree({ root, log, context }, command, {
    network: 'none',
    users,
    // dpkg sees a terminal.
    environment: { DPKG_COLORS: 'never' },
    binds: [{ source: packages, destination: inside }],
    onLine,
  })
  if (status !== 0) throw failure(said, status, log)
}

/**
 * What dpkg says about the first package that failed: its name on one line, and on the next what it was
 * that failed.
 */
function failure(lines: readonly string[], status: number, log: ToolLog): NspawnError {
  const at = lines.findIndex((line) => /^dpkg: error processing (?:package|archive) /.test(line))
  const full = lines.find((line) => /No space left on device|Disk quota exceeded/i.test(line))
  if (full !== undefined) {
    return new NspawnError(`cannot make a tree with embedded: the disk is full: ${full.trim()}`, {
      code: 'ENOSPC',
      operation: 'dpkg',
      hint: 'free some space, or put the machines directory elsewhere with --machines-dir',
      log: log.path,
    })
  }
  const name = /^dpkg: error processing (?:package|archive) (\S+)/
    .exec(lines[at] ?? '')?.[1]
    ?.replace(`${inside}/`, '')
  const why = lines[at + 1]?.trim() ?? ''
  const message = name === undefined ? lines.slice(-5).join('\n  ') : `${name}: ${why}`
  return new NspawnError(`cannot install packages in the new tree: ${message}`, {
    code: / script subprocess /.test(why) ? 'BOOTSTRAP_SCRIPT' : 'BOOTSTRAP_FAILED',
    operation: 'dpkg',
    subject: name,
    status,
    log: log.path,
  })
}
