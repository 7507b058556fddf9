/** What is built of a git checkout: a commit, or the directory as it lies there, without what git ignores. */
import { NspawnError } from '../../../errors.ts'
import type { LogSink } from '../../../log.ts'
import type { DirectorySource } from '../source-argument.ts'
import type { GitFacts } from '../staged-source.ts'
import { changedFiles } from './changes.ts'
import { exportCommit, type ExportPlace } from './export.ts'
import { GitRepository } from './repository.ts'

export interface Checkout {
  readonly git: GitFacts
  /** Which paths of the directory have to be copied; `undefined` when a commit has been laid out. */
  readonly isWanted?: ((path: string) => boolean) | undefined
}

/**
 * Lays the commit out that is to be built, or says what of the directory belongs to its working tree.
 *
 * @returns `undefined` where the directory is no top of a work tree
 * @throws NspawnError `SOURCE_INVALID`; `SOURCE_UNCOMMITTED` when it was not said what shall be built of a directory that is
 *   not as committed
 */
export async function takeCheckout(
  { path, git: wish }: DirectorySource,
  place: ExportPlace,
  log: LogSink,
  signal: AbortSignal | undefined,
): Promise<Checkout | undefined> {
  const repository = await GitRepository.at(path, signal)
  if (repository === undefined) {
    if (wish === undefined) return undefined
    throw refused('the directory is no git checkout', path, 'give the directory that has .git')
  }
  if (wish?.kind === 'working-tree') return workingTree(repository, signal)
  const ref = wish?.ref ?? 'HEAD'
  const commit = await repository.commit(ref)
  if (commit === undefined)
    throw refused(
      `there is no commit ${ref}`,
      path,
      wish === undefined
        ? 'commit first, or give --working-tree to build what lies there'
        : 'fetch it first: nothing is fetched here',
    )
  if (wish === undefined) await refuseChanges(repository, log, signal)
  log({ kind: 'step', text: `taking commit ${commit.id.slice(0, 12)} of ${path}` })
  await exportCommit(repository, commit, place, signal)
  return { git: { commit: commit.id, taken: 'commit' } }
}

async function refuseChanges(
  repository: GitRepository,
  log: LogSink,
  signal: AbortSignal | undefined,
): Promise<void> {
  const head = await repository.commit('HEAD')
  const changed = head === undefined ? [] : await changedFiles(repository, head, signal)
  const { directory } = repository
  if (changed.length > 0)
    throw new NspawnError(`the checkout is not as committed: ${some(changed)}`, {
      code: 'SOURCE_UNCOMMITTED',
      operation: 'read git checkout',
      subject: directory,
      hint: 'commit, or say what to build: --working-tree, or the last commit with --git-ref HEAD',
    })
  const untracked = await repository.untracked()
  if (untracked.length > 0)
    log({ kind: 'notice', text: `not committed, so not part of the build: ${some(untracked)}` })
}

async function workingTree(
  repository: GitRepository,
  signal: AbortSignal | undefined,
): Promise<Checkout> {
  const index = await repository.index()
  const untracked = await repository.untracked()
  const head = await repository.commit('HEAD')
  const changed =
    head === undefined
      ? undefined
      : [...(await changedFiles(repository, head, signal)), ...untracked].toSorted()
  return {
    git: { commit: head?.id, taken: 'working tree', changed },
    isWanted: wantedPaths(index, untracked),
  }
}

/** Files with the directories that lead to them; all of what lies in submodules. */
export function wantedPaths(
  index: readonly { readonly mode: string; readonly path: string }[],
  untracked: readonly string[],
): (path: string) => boolean {
  const wanted = new Set<string>()
  const whole: string[] = []
  const add = (path: string) => {
    for (let at = path.length; at > 0 && !wanted.has(path.slice(0, at));) {
      wanted.add(path.slice(0, at))
      at = path.lastIndexOf('/', at - 1)
    }
  }
  for (const { mode, path } of index) {
    add(path)
    if (mode === '160000') whole.push(`${path}/`)
  }
  // A repository inside is listed as a directory.
  for (const path of untracked) add(path.replace(/\/$/, ''))
  return (path) => wanted.has(path) || whole.some((top) => path.startsWith(top))
}

function some(paths: readonly string[]): string {
  const shown = paths
    .slice(0, 5)
    .map((path) => (/^[\w./+~=@-]+$/.test(path) ? path : JSON.stringify(path)))
  return paths.length > shown.length
    ? `${shown.join(', ')} and ${paths.length - shown.length} more`
    : shown.join(', ')
}

function refused(why: string, subject: string, hint: string): NspawnError {
  return new NspawnError(why, {
    code: 'SOURCE_INVALID',
    operation: 'read git checkout',
    subject,
    hint,
  })
}
