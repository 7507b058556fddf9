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
import { archiveIdentity } from './archives/identity.ts'
import type { CreateContext } from './create-context.ts'
import type { TreePlan } from './plan.ts'

/** An archive must not be able to keep a tree from its updates for longer, by serving the same index again and again. */
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

/** The cache for what the plan makes; undefined when the archive's state cannot be told. */
export async function openTreeCache(
  plan: TreePlan,
  context: CreateContext,
): Promise<TreeCache | undefined> {
  const identity = await archiveIdentity(plan, context.signal)
  if (identity === undefined) return undefined
  const { machinesDirectory: directory, log, signal } = context
  const key = await treeKey(plan, identity)
  const name = `${namePrefix}${plan.recipe}-${key.slice(0, 16)}`
  const path = join(directory, name)
  return {
    async take(target) {
      const kept = keptTrees(directory).find((image) => image.name === name)
      if (kept === undefined || ageMs(kept) > maxAgeMs) return false
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
      if ((await archiveIdentity(plan, signal)) !== identity) return
      try {
        await store(tree, directory, name, context)
        await dropOld(directory, context)
      } catch (error) {
        if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
        if (error.code === 'IMAGE_EXISTS' || error.code === 'EBUSY') return
        log({ kind: 'warning', text: `cannot keep the tree for next time: ${error.message}` })
      }
    },
  }
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

async function treeKey(plan: TreePlan, identity: string): Promise<string> {
  const { archive } = plan
  const beside = archive.family === 'apt' ? archive.repositories : []
  const keyrings = [
    ...(archive.keyring === undefined ? [] : [archive.keyring]),
    ...beside.flatMap(({ trust }) => (trust.kind === 'keyring' ? [trust.path] : [])),
  ]
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
    archive,
    keys: await Promise.all(
      keyrings.filter((path) => existsSync(path)).map((path) => hashFile(path)),
    ),
  }
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}
