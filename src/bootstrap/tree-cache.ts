/**
 * Trees as a strategy left them, before anything was made of them that is particular to one name: kept as hidden images
 * and copied when the same is asked for again. A kept tree is known by all that it was made from, the archive's state of
 * the moment included, so it never answers for anything else.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { hashFile } from '../hash-file.ts'
import { startCopyThreads } from '../images/copy-threads.ts'
import { listImages, type Image } from '../images/discover.ts'
import { refillTree } from '../images/fill-tree.ts'
import { lockImage, type ImageLock } from '../images/lock.ts'
import { stageImage } from '../images/new-image.ts'
import { removeImage } from '../images/remove-image.ts'
import { ownVersion } from '../version.ts'
import { archiveState, type ArchiveState } from './archives/identity.ts'
import type { CreateContext } from './create-context.ts'
import type { TreePlan } from './plan.ts'
import type { Strategy } from './strategy.ts'
import { toolsTreePath } from './tools-tree.ts'
import { TreeFiles } from './tree-files.ts'
import { trustedFiles } from './trusted-files.ts'

/**
 * An archive must not be able to keep a tree from its updates for longer, by serving the same index again and again. Only
 * those of apt say themselves how long an index holds.
 */
const maxAgeMs = 7 * 24 * 3600 * 1000

/** So many are kept; the oldest go first. */
const maxTrees = 8

const namePrefix = '.tree-'

export interface TreeCache {
  /**
   * Makes the kept tree in the directory `target`, which is empty.
   *
   * @returns whether there is one; if not, `target` is as it was
   */
  take(target: string): Promise<boolean>
  /** Keeps a copy of `tree`; that it cannot be kept is a warning. */
  keep(tree: string): Promise<void>
}

/** The cache for what the plan makes; undefined when the archive's state cannot be told, or is one of the past. */
export async function openTreeCache(
  plan: TreePlan,
  strategy: Strategy,
  context: CreateContext,
): Promise<TreeCache | undefined> {
  const state = await archiveState(plan, context.signal)
  if (state === undefined || hasEnded(state, plan)) return undefined
  const { machinesDirectory: directory, log, signal } = context
  const nameNow = async () =>
    treeName(plan, state.identity, await trustedKeys(plan, strategy, directory))
  const name = await nameNow()
  return {
    async take(target) {
      const kept = keptTrees(directory).find((image) => image.name === name)
      if (kept === undefined || ageMs(kept) > maxAgeMs) return false
      const path = join(directory, kept.name)
      const lock = tryLock(path)
      if (lock === undefined) return false
      try {
        await refillTree(path, target, { log, signal, startThreads: startCopyThreads })
      } finally {
        lock.release()
      }
      return true
    },

    async keep(tree) {
      // What was fetched in the meantime may be of another state than what was asked before.
      if ((await archiveState(plan, signal))?.identity !== state.identity) return
      // So may keys be; a tree of tools, and those in it, may have been made only now.
      const current = await nameNow()
      if (current === undefined || (name !== undefined && name !== current)) return
      try {
        await store(tree, directory, current, context)
        await dropOld(directory, context)
      } catch (error) {
        if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
        if (error.code === 'IMAGE_EXISTS' || error.code === 'EBUSY') return
        log({ kind: 'warning', text: `cannot keep the tree for next time: ${error.message}` })
      }
    },
  }
}

/** Whoever makes the tree then refuses the archive, and says why. */
function hasEnded({ validUntilMs }: ArchiveState, { archive }: TreePlan): boolean {
  if (archive.family === 'apt' && archive.outdated === 'accepted') return false
  return validUntilMs < Date.now()
}

/** Undefined when somebody replaces the tree, or has removed it: then another one is made, as if there were none. */
function tryLock(path: string): ImageLock | undefined {
  try {
    return lockImage(path, 'shared')
  } catch (error) {
    if (['EBUSY', 'ENOENT'].includes((error as { code?: string }).code ?? '')) return undefined
    throw error
  }
}

async function store(
  tree: string,
  directory: string,
  name: string,
  { log, signal }: CreateContext,
): Promise<void> {
  await using cleanup = new CleanupStack()
  const stage = stageImage(
    { directory, name, kind: 'tree', existing: 'replace', access: 'read-write', sync: 'no' },
    cleanup,
    log,
  )
  await refillTree(tree, stage.path, { log, signal, startThreads: startCopyThreads })
  await stage.publish({ signal })
}

/** Kept trees that are too old, or too many. One that is in use stays. */
async function dropOld(directory: string, { log }: CreateContext): Promise<void> {
  const kept = keptTrees(directory).toSorted((a, b) => ageMs(a) - ageMs(b))
  for (const image of kept.filter((one, index) => index >= maxTrees || ageMs(one) > maxAgeMs)) {
    try {
      await removeImage(image, log)
    } catch (error) {
      if (!(error instanceof NspawnError) || error.code !== 'EBUSY') throw error
    }
  }
}

function keptTrees(directory: string): Image[] {
  return listImages({ hidden: true, override: directory }).filter(({ name }) =>
    name.startsWith(namePrefix),
  )
}

function ageMs({ createdMs }: Image): number {
  return createdMs === undefined ? Infinity : Date.now() - createdMs
}

/**
 * What the files with keys hold at this moment, by their paths; undefined when they lie in a tree of tools that is still
 * to be made.
 */
async function trustedKeys(
  { archive, signatures }: TreePlan,
  { place, toolPackages = [] }: Strategy,
  machinesDirectory: string,
): Promise<readonly string[] | undefined> {
  if (signatures === 'ignored') return []
  const host = { hasFile: existsSync, resolve: (path: string) => path }
  const programs =
    place === 'tools tree' ? filesOfTools(toolsTreePath(machinesDirectory, toolPackages)) : host
  if (programs === undefined) return undefined
  return Promise.all(
    trustedFiles(archive, programs, host).map(async (file) => {
      const files = file.place === 'host' ? host : programs
      const hash = files.hasFile(file.path) ? await hashFile(files.resolve(file.path)) : 'absent'
      return `${file.path} ${hash}`
    }),
  )
}

function filesOfTools(
  tree: string,
): { hasFile(path: string): boolean; resolve(path: string): string } | undefined {
  if (!existsSync(tree)) return undefined
  const files = new TreeFiles(tree)
  return {
    hasFile: (path) => files.stat(path)?.isFile() === true,
    resolve: (path) => files.resolve(path),
  }
}

function treeName(
  plan: TreePlan,
  identity: string,
  keys: readonly string[] | undefined,
): string | undefined {
  if (keys === undefined) return undefined
  const content = {
    identity,
    program: ownVersion(),
    // What was not waited for to be on disk may be damaged after a crash.
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    recipe: plan.recipe,
    release: plan.release,
    architecture: plan.architecture,
    variant: plan.variant,
    purpose: plan.purpose,
    include: plan.include,
    exclude: plan.exclude,
    signatures: plan.signatures,
    users: plan.users,
    sourceDateEpoch: plan.sourceDateEpoch,
    strategy: plan.strategy,
    archive: plan.archive,
    keys,
  }
  const key = createHash('sha256').update(JSON.stringify(content)).digest('hex')
  return `${namePrefix}${plan.recipe}-${key.slice(0, 16)}`
}
