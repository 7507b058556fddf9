/**
 * Says which of a source's build dependencies its build has never opened a file of.
 *
 * In: what is installed, and what was opened. Out: a note in the record, and one for people. A hint, not a verdict: what
 * a package generates when it is installed (caches, indexes) is not among its files, and whoever asks only whether a
 * file is there has not opened it.
 */
import { describeError } from '../../errors.ts'
import type { BuildGround, Subject } from '../driver.ts'
import type { Ask, InstalledContents, Installer } from '../installers/installer.ts'
import type { BuildSession } from '../session.ts'
import { askAbove } from '../toolchain-layer.ts'
import { judgeDependencies, packagesToLookAt, type UnopenedDependency } from './judge.ts'
import { isOpenedDirectly, openedThroughLinks, ownFiles } from './opened-packages.ts'
import { readOpenedPaths, type OpenedPaths } from './opened-paths.ts'

export interface UnopenedReport {
  /** Whether the kernel could tell of all that was opened; else the packages may be too many. */
  readonly complete: boolean
  readonly packages: readonly UnopenedDependency[]
}

/** Looks, notes and tells. A build is not lost because nobody could look at it. */
export async function reportUnopened(
  session: BuildSession,
  installer: Installer | undefined,
  subject: Subject,
  ground: BuildGround,
): Promise<void> {
  if (installer === undefined || ground.needs.length === 0) {
    session.log({ kind: 'notice', text: 'nothing was asked for that could be opened' })
    return
  }
  try {
    const report = await findUnopened(session, installer, subject, ground)
    session.note({ unopened: report })
    for (const text of describeUnopened(report)) session.log({ kind: 'notice', text })
  } catch (error) {
    if (session.signal?.aborted === true) throw error
    const text = `cannot tell which dependencies were opened: ${describeError(error)}`
    session.log({ kind: 'warning', text })
  }
}

async function findUnopened(
  session: BuildSession,
  installer: Installer,
  subject: Subject,
  { layers, needs }: BuildGround,
): Promise<UnopenedReport> {
  const opened = await readOpenedPaths(session.openedLists)
  const ask = askAbove(session, subject, layers, 'look-contents')
  const contents = await installer.contents(layers.toReversed(), ask)
  const below = layers.slice(0, -1)
  const standing = await installer.installed(
    below.toReversed(),
    askAbove(session, subject, below, 'look-below'),
  )
  const isOpened = await judgeOpened(opened, [...packagesToLookAt(needs, contents)], ask)
  const packages = judgeDependencies(needs, {
    contents,
    standing: new Set(standing.map(({ name }) => name)),
    isOpened,
  })
  return { complete: opened.complete, packages }
}

/** Which packages the build has opened a file of. */
async function judgeOpened(
  { paths }: OpenedPaths,
  packages: readonly InstalledContents[],
  ask: Ask,
): Promise<(one: InstalledContents) => boolean> {
  const known = packages.filter((one) => isOpenedDirectly(one, paths))
  const others = packages.filter((one) => !known.includes(one))
  const wanted = [...new Set(others.flatMap((one) => ownFiles(one)))]
  const real = new Map<string, string>()
  for (const batch of batches(wanted)) {
    const answers = await ask(['realpath', '-m', '--', ...batch])
    for (const [index, path] of batch.entries()) real.set(path, answers[index] ?? path)
  }
  const opened = new Set([...known, ...openedThroughLinks(others, { real, paths, packages })])
  return (one) => opened.has(one)
}

/** A command line holds two MiB. */
const batchCharacters = 400_000

function* batches(paths: readonly string[]): Generator<readonly string[]> {
  let batch: string[] = []
  let size = 0
  for (const path of paths) {
    if (size + path.length > batchCharacters) {
      yield batch
      batch = []
      size = 0
    }
    batch.push(path)
    size += path.length + 1
  }
  if (batch.length > 0) yield batch
}

/** For people. */
export function describeUnopened({ complete, packages }: UnopenedReport): readonly string[] {
  const name = (one: UnopenedDependency) =>
    one.asked === one.name ? one.name : `${one.name} (for ${one.asked})`
  const never = packages.filter(({ opened }) => opened.length === 0)
  const indirect = packages.filter(({ opened }) => opened.length > 0)
  const lines = [
    ...(never.length === 0
      ? []
      : [`the build has not opened a file of ${never.map(name).join(', ')}`]),
    ...indirect.map(
      (one) =>
        `the build has not opened a file of ${name(one)}, but of ${one.opened.join(', ')}, which came with it`,
    ),
    ...(packages.length === 0
      ? ['the build has opened files of all that its source asks for']
      : []),
  ]
  return complete
    ? lines
    : [...lines, 'more was opened at once than the kernel could tell of: these may be too many']
}
