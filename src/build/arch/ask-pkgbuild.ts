/**
 * Finds out what a PKGBUILD is and what it lacks. Both take a container with makepkg in it, so the answers
 * are kept: for the same directory above the same toolchain, in the same environment.
 */
import { join } from 'node:path'
import { AnswerCache } from '../answer-cache.ts'
import { readPacmanSetup } from '../installers/pacman-repositories.ts'
import { layerKey } from '../layers.ts'
import type { ArchWork } from './package-layer.ts'
import { inspectStep, missingStep } from './plan.ts'
import { buildDependencies, parseSourceInfo, type SourceInfo } from './source-info.ts'
import type { StagedDirectory } from './stage-source.ts'

/** Grows whenever it asks in another way. */
const askVersion = 1

export interface AskedPkgbuild {
  readonly info: SourceInfo
  /** What of its dependencies is not installed, in pacman's notation. */
  readonly missing: readonly string[]
}

/** An answer as it is kept. */
interface Answer {
  /** What makepkg has printed. */
  readonly lines: readonly string[]
  readonly missing: readonly string[]
}

/**
 * Asks; whatever the PKGBUILD writes then is thrown away.
 *
 * @throws NspawnError `SOURCE_INVALID`, `DEPENDENCY_…`, as `runStep()`
 */
export async function askPkgbuild(work: ArchWork, staged: StagedDirectory): Promise<AskedPkgbuild> {
  const { session, tree } = work
  const { architecture } = await readPacmanSetup(tree)
  const key = answerKey(work, staged)
  const cache = new AnswerCache(join(session.request.stateDirectory, 'cache/pkgbuilds'))
  const kept = key === undefined ? undefined : await cache.find(key, 'answer')
  if (kept !== undefined) {
    session.log({ kind: 'step', text: 'the PKGBUILD is known from an earlier build' })
    const { lines, missing } = JSON.parse(kept) as Answer
    return { info: parseSourceInfo(lines, architecture), missing }
  }
  const lines = await readInfo(work)
  const info = parseSourceInfo(lines, architecture)
  const missing = await askMissing(work, info)
  if (key !== undefined)
    await cache.keep(key, 'answer', JSON.stringify({ lines, missing } satisfies Answer))
  return { info, missing }
}

function answerKey(
  { session, facts, toolchain }: ArchWork,
  { treeSha256 }: StagedDirectory,
): string | undefined {
  if (toolchain.key === undefined || session.request.fresh === true) return undefined
  const { options, sourceDate } = facts
  const { jobs, environment, check, packager } = options
  const names = Object.keys(environment).toSorted()
  const variables = names.map((name) => [name, environment[name]])
  const inputs = [toolchain.key, treeSha256, sourceDate, jobs, variables, check, packager ?? '']
  return layerKey(['pkgbuild', askVersion, ...inputs])
}

async function readInfo({
  session,
  facts,
  subject,
  tree,
  toolchain,
}: ArchWork): Promise<readonly string[]> {
  const layers = [tree, toolchain.upper, session.place.sources]
  const place = { layers, writable: await session.scratch('inspect') }
  return session.read(inspectStep(facts, place), subject)
}

async function askMissing(
  { session, facts, subject, tree, toolchain }: ArchWork,
  info: SourceInfo,
): Promise<readonly string[]> {
  const wanted = buildDependencies(info, facts.options)
  if (wanted.length === 0) return []
  const layers = [tree, toolchain.upper]
  const place = { layers, writable: await session.scratch('deptest') }
  const lines = await session.read(missingStep(facts, place, wanted), subject)
  return lines.filter((line) => wanted.includes(line))
}
