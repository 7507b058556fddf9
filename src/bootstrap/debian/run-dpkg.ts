/** Runs the tree's own dpkg in a container of the tree, and says which package failed at what. */
import { NspawnError } from '../../errors.ts'
import { ephemeralMachineName } from '../../images/names.ts'
import { runContainer } from '../../runtime/client.ts'
import { defaultSettings } from '../../settings/settings.ts'
import type { CreateContext } from '../create-context.ts'
import type { ToolLog } from '../tool-log.ts'

/** Where packages are seen inside; the container's own /run leaves nothing in the tree. */
const inside = '/run/packages'

/** Lines of output that are looked through for the cause of a failure. */
const remembered = 200

/** What maintainer scripts may know, and what keeps them from asking or starting anything. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
  // dpkg sees a terminal.
  DPKG_COLORS: 'never',
  DEBIAN_FRONTEND: 'noninteractive',
  DEBCONF_NONINTERACTIVE_SEEN: 'true',
  DEBIAN_PRIORITY: 'critical',
  SYSTEMD_IN_CHROOT: '1',
  SYSTEMD_OFFLINE: '1',
  SYSTEMD_HWDB_UPDATE_BYPASS: '1',
  KERNEL_INSTALL_BYPASS: '1',
}

export interface DpkgRun {
  readonly root: string
  /** Directory of package files on the host. */
  readonly packages: string
  readonly log: ToolLog
  readonly context: CreateContext
}

/**
 * @param words options of dpkg and its action, with names of packages where it wants such
 * @param files names in the directory of packages
 * @throws NspawnError `BOOTSTRAP_FAILED`
 */
export async function runDpkg(
  { root, packages, log, context }: DpkgRun,
  words: readonly string[],
  files: readonly string[],
): Promise<void> {
  // Nothing has to be on disk before the tree is published, so dpkg need not wait for that.
  const command = [
    'dpkg',
    '--force-unsafe-io',
    ...words,
    ...files.map((name) => `${inside}/${name}`),
  ]
  log.add(`+ ${command.join(' ')}`)
  const said: string[] = []
  let done = 0
  const { status } = await runContainer({
    settings: {
      ...defaultSettings(),
      root: { kind: 'directory', path: root },
      command,
      machine: ephemeralMachineName('create'),
      environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
      startMode: 'stub-init',
      suppressSync: true,
      privateNetwork: true,
      register: 'no',
      keepUnit: true,
      resolvConf: 'off',
      linkJournal: 'no',
      timezone: 'off',
      quiet: true,
      mounts: [
        {
          kind: 'bind',
          source: { kind: 'host', path: packages },
          destination: inside,
          access: 'read-only',
          recursive: false,
          idMap: 'noidmap',
        },
      ],
    },
    stdio: 'lines',
    onLine: (text, stream) => {
      // Where dpkg writes over its own line, the last version counts.
      const line = text.slice(text.lastIndexOf('\r', text.length - 2) + 1)
      log.add(line)
      said.push(line)
      if (said.length > remembered) said.shift()
      context.log({ kind: 'output', stream, line })
      const told = /^(Unpacking|Setting up) (\S+)/.exec(line)
      if (told === null) return
      const what = `${told[1] === 'Unpacking' ? 'unpacking' : 'configuring'} ${told[2]}`
      context.log({
        kind: 'progress',
        text: what,
        done: ++done,
        total: undefined,
        unit: 'packages',
      })
    },
    signal: context.signal,
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
    code: 'BOOTSTRAP_FAILED',
    operation: 'dpkg',
    subject: name,
    status,
    log: log.path,
  })
}
