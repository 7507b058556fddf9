/** pacman in a tree. */
import { stripVTControlCharacters } from 'node:util'
import { NspawnError } from '../../errors.ts'
import type { PacmanArchive } from '../archives/pacman.ts'
import { scriptsFailed } from '../failed-scripts.ts'
import { diagnosePacman } from '../pacman/failures.ts'
import { pacmanReader } from '../pacman/output.ts'
import { runInTree, type CommandInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import type { Family, InstalledPackage } from './family.ts'

/** Its database: a directory for each package, see libalpm's `be_local.c`. */
const database = '/var/lib/pacman/local'
const lock = '/var/lib/pacman/db.lck'

const notUpdated = 'cannot bring the tree up to date'

export const pacman: Family<PacmanArchive> = {
  isPackage: (path, architecture) =>
    !path.includes('/') &&
    (/\.db(\.sig)?$/.test(path) ||
      (/\.pkg\.tar(\.\w+)?$/.test(path.replace(/\.sig$/, '')) &&
        (path.includes(`-${architecture}.pkg.`) || path.includes('-any.pkg.')))),

  installedPackages: async (_tree, files) => readLocalDatabase(files),

  async installUpdates(tree, files) {
    await runPacman(tree, files, ['-Syu'])
  },
}

function readLocalDatabase(files: TreeFiles): InstalledPackage[] | undefined {
  if (files.stat(database)?.isDirectory() !== true) return undefined
  if (files.stat(lock, 'keep') !== undefined) throw unfinished(`its database is locked by ${lock}`)
  const found: InstalledPackage[] = []
  const broken: string[] = []
  for (const entry of files.list(database)) {
    if (files.stat(`${database}/${entry}`)?.isDirectory() !== true) continue
    const read = readEntry(files, `${database}/${entry}`)
    if (read === undefined) broken.push(entry)
    else found.push(read)
  }
  if (broken.length > 0) throw unfinished(broken.join(', '))
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** pacman writes `desc` last of what belongs to a package, but for the list of its files. */
function readEntry(files: TreeFiles, directory: string): InstalledPackage | undefined {
  const text = files.read(`${directory}/desc`) ?? ''
  const field = (title: string) => new RegExp(`^%${title}%\\n(.+)$`, 'm').exec(text)?.[1]
  const [name, version, architecture] = [field('NAME'), field('VERSION'), field('ARCH')]
  if (files.stat(`${directory}/files`) === undefined) return undefined
  if (name === undefined || version === undefined) return undefined
  return { name, version, architecture: architecture ?? 'any' }
}

function unfinished(what: string): NspawnError {
  return new NspawnError(`packages are half installed: ${what}`, { code: 'BOOTSTRAP_VERIFY' })
}

/**
 * Runs the tree's own pacman.
 *
 * @param options with directories of the host that its configuration names
 * @throws NspawnError `BOOTSTRAP_…`
 */
export async function runPacman(
  tree: TreeInMaking,
  files: TreeFiles,
  words: readonly string[],
  options: Pick<CommandInTree, 'network' | 'binds'> = { network: 'host' },
): Promise<void> {
  const { log, context } = tree
  context.log({ kind: 'step', text: `pacman ${words.join(' ')}` })
  const reader = pacmanReader()
  const command = [
    ...['pacman', '--noconfirm', '--noprogressbar'],
    ...(pacmanMajorVersion(files) >= 7 ? ['--disable-sandbox'] : []),
    ...words,
  ] as [string, ...string[]]
  const said: string[] = []
  const onLine = (text: string) => {
    const line = stripVTControlCharacters(text)
    said.push(line)
    const told = reader.readLine(line)
    if (told !== undefined) context.log(told)
  }
  const { status } = await runInTree(tree, command, { ...options, onLine })
  // Its lock would keep the next one out.
  if (status !== 0) files.remove(lock)
  if (reader.failedScripts.length > 0) {
    const operation = command.join(' ')
    throw scriptsFailed(notUpdated, reader.failedScripts, {
      verb: 'update',
      operation,
      status,
      log,
    })
  }
  if (status === 0) return
  const diagnosis = diagnosePacman(said)
  throw new NspawnError(`${notUpdated}: ${diagnosis?.message ?? log.complaints().join('\n  ')}`, {
    code: diagnosis?.code ?? 'BOOTSTRAP_FAILED',
    operation: command.join(' '),
    status,
    log: log.path,
    hint: diagnosis?.hint,
  })
}

/** Of the pacman in the tree; 0 where there is none. */
export function pacmanMajorVersion(files: TreeFiles): number {
  const entry = files.list(database).find((name) => /^pacman-\d[^-]*-[^-]*$/.test(name))
  return Number(/^pacman-(?:\d+:)?(\d+)/.exec(entry ?? '')?.[1] ?? 0)
}
