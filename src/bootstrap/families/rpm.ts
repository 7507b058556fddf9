/** rpm in a tree, and the package managers that stand on it: dnf and zypper. */
import { NspawnError } from '../../errors.ts'
import type { RpmArchive } from '../archives/rpm.ts'
import { scriptsFailed } from '../failed-scripts.ts'
import { findDatabase, queryPackages } from '../rpm/database.ts'
import { scriptletWatch } from '../rpm/scriptlets.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import type { Family, InstalledPackage } from './family.ts'

export const rpm: Family<RpmArchive> = {
  isPackage: (path) =>
    // Whatever dnf and zypper need to do without the network; not their locks, keys and half-made things.
    path.endsWith('.rpm') ||
    /(^|\/)(repodata|raw|solv)\/|\.solvx?$|\/(metalink\.xml|mirrorlist)$/.test(path),

  async installedPackages(tree, files) {
    const database = findDatabase(files)
    if (database === undefined) return undefined
    const packages = await queryPackages(tree, files, database)
    const twice = duplicates(packages)
    if (twice.length > 0) {
      throw new NspawnError(
        `packages are there in two versions, so an update of them was broken off: ${twice.join(', ')}`,
        { code: 'BOOTSTRAP_VERIFY' },
      )
    }
    return packages
  },

  async installUpdates(tree, files) {
    const commands = updateCommands(files)
    if (commands === undefined) {
      throw new NspawnError('the tree has no package manager that could bring it up to date', {
        code: 'BOOTSTRAP_FAILED',
        hint: 'put dnf5, dnf or zypper into it with --include',
      })
    }
    for (const command of commands) await runManager(tree, command)
  },
}

async function runManager(
  tree: TreeInMaking,
  command: readonly [string, ...string[]],
): Promise<void> {
  const { log, context } = tree
  const operation = command.join(' ')
  context.log({ kind: 'step', text: operation })
  const scripts = scriptletWatch(() => undefined)
  const { status } = await runInTree(tree, command, { network: 'host', onLine: scripts.readLine })
  const step = 'cannot bring the tree up to date'
  if (status === scriptFailed || scripts.failed.length > 0)
    throw scriptsFailed(step, scripts.failed, { verb: 'update', operation, status, log })
  if (updated.includes(status)) return
  throw new NspawnError(`${step}: ${log.complaints().join('\n  ')}`, {
    code: 'BOOTSTRAP_FAILED',
    operation,
    status,
    log: log.path,
    hint: 'the log has the words of the package manager',
  })
}

/** zypper says by 102 and 103 that something should be started again, see zypper(8), "EXIT CODES". */
const updated: readonly number[] = [0, 102, 103]

/** The same: by 107, that a script of a package failed; no other package manager ends so. */
const scriptFailed = 107

/**
 * What is cached of indexes does not count: dnf takes them for good for hours, and zypper for as long as it was not told
 * otherwise. openSUSE has dnf too, which does not know its repositories. A rolling distribution wants its packages as
 * they are now, whatever they were before.
 *
 * @see dnf(8), zypper(8)
 */
export function updateCommands(
  files: TreeFiles,
): readonly (readonly [string, ...string[]])[] | undefined {
  const has = (name: string) => files.stat(`/usr/bin/${name}`)?.isFile() === true
  const id = /^ID="?([\w.-]+)/m.exec(files.read('/etc/os-release') ?? '')?.[1] ?? ''
  const [other] = ['dnf5', 'dnf', 'microdnf'].filter(has)
  if (has('zypper') && (other === undefined || /^(opensuse|sle)/.test(id))) {
    const update = id === 'opensuse-tumbleweed' ? 'dist-upgrade' : 'update'
    const zypper = (...words: readonly string[]) =>
      ['zypper', '--non-interactive', ...words] as const
    return [zypper('refresh'), zypper('--no-refresh', update, '--auto-agree-with-licenses')]
  }
  if (other === undefined) return undefined
  return [[other, '-y', ...(other === 'microdnf' ? [] : ['--refresh']), 'upgrade']]
}

/** Several versions of these are meant to be there, see "installonlypkgs" in dnf.conf(5). */
const manyVersions = /^(kernel|kmod)([-.]|$)/

/** What rpm leaves when it is killed between the new package and the removal of the old one. */
function duplicates(packages: readonly InstalledPackage[]): string[] {
  const seen = new Map<string, number>()
  for (const { name, architecture } of packages) {
    const key = `${name}.${architecture}`
    if (!manyVersions.test(name)) seen.set(key, (seen.get(key) ?? 0) + 1)
  }
  return [...seen].filter(([, times]) => times > 1).map(([key]) => key)
}
