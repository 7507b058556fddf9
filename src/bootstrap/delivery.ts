/**
 * From a tree to what was asked for: the tree itself, an archive or a disk image. Each has a hidden place in which it is
 * made, and gets its name in one step.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { checkDiskForm, makeDiskImage } from '../images/disk/disk-image.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../images/hidden-tree.ts'
import { checkNewImage, stageImage, type NewImage } from '../images/new-image.ts'
import { makeTreeTop } from '../images/tree-top.ts'
import type { LogSink } from '../log.ts'
import { checkCompression, compress } from '../transfer/compress.ts'
import { openOutput } from '../transfer/local/output.ts'
import { packTree } from '../transfer/tar/pack.ts'
import type { CreateContext } from './create-context.ts'
import { STANDARD_OUTPUT } from './output.ts'
import { planHash, type TreePlan } from './plan.ts'
import { treeImage } from './stage.ts'

export interface Delivery {
  /** The empty directory that the tree is made in. */
  readonly tree: string
  /** Hidden; what lies in it goes away in any case. */
  readonly directory: string
  /** Where settings of the machine may be put; undefined where it has such already, or none are delivered. */
  readonly settings: string | undefined
  /** Makes what was asked for from the tree that is whole now, and gives it its name. */
  deliver(): Promise<void>
}

/** The image that a plan makes, where it makes one. */
function imageOf({ output, destination, existing }: TreePlan): NewImage | undefined {
  switch (output.form) {
    case 'directory':
      return treeImage(destination, existing)
    case 'subvolume':
      return { ...treeImage(destination, existing), top: 'subvolume' }
    case 'raw':
      return {
        ...treeImage(destination, existing),
        name: basename(destination, '.raw'),
        kind: 'disk',
      }
    case 'tar':
      return undefined
  }
}

/**
 * Whether it can be delivered so, asked before anything is done.
 *
 * @throws NspawnError `USAGE`, `PROGRAM_NOT_FOUND`, `IMAGE_EXISTS`, `EBUSY`
 */
export function checkDelivery(plan: TreePlan): void {
  const { output, destination, existing } = plan
  const image = imageOf(plan)
  if (output.form === 'raw') checkDiskForm(output.disk, plan.sourceDateEpoch)
  if (output.form === 'tar') checkCompression(output.compression)
  if (image !== undefined) return checkNewImage(image)
  if (existing === 'keep' && destination !== STANDARD_OUTPUT && existsSync(destination)) {
    throw new NspawnError(`there is something at ${destination} already`, {
      code: 'IMAGE_EXISTS',
      hint: 'choose another file with --output-file, or replace it with --force',
    })
  }
}

/** @throws NspawnError as `checkDelivery()` and `stageImage()` */
export function prepareDelivery(
  plan: TreePlan,
  cleanup: CleanupStack,
  context: CreateContext,
): Delivery {
  const { output, sourceDateEpoch } = plan
  const { log, signal } = context
  const image = imageOf(plan)
  if (image === undefined) return prepareArchive(plan, cleanup, context)
  const stage = stageImage(image, cleanup, log)
  const there = existsSync(join(image.directory, `${image.name}.nspawn`))
  const settings = there ? undefined : stage.sideFile('.nspawn')
  if (output.form !== 'raw') {
    const deliver = async () => void (await stage.publish({ signal }))
    return { tree: stage.path, directory: stage.directory, settings, deliver }
  }
  const tree = join(stage.directory, 'tree')
  makeTreeTop(tree)
  return {
    tree,
    directory: stage.directory,
    settings,
    deliver: async () => {
      const { rootHash } = await makeDiskImage({
        form: output.disk,
        architecture: plan.architecture,
        tree,
        path: stage.path,
        workDirectory: stage.directory,
        sourceDateEpoch,
        seed: planHash(plan),
        log,
        signal,
      })
      if (rootHash !== undefined) writeFileSync(stage.sideFile('.roothash'), `${rootHash}\n`)
      await stage.publish({ signal })
    },
  }
}

/** The tree of an archive is made in the machines directory: there is room for trees, and they can run there. */
function prepareArchive(plan: TreePlan, cleanup: CleanupStack, context: CreateContext): Delivery {
  const { destination } = plan
  const { log, machinesDirectory, signal = new AbortController().signal } = context
  const directory = makeScratch(machinesDirectory, plan.name, cleanup, log)
  const tree = join(directory, 'tree')
  makeTreeTop(tree)
  return {
    tree,
    directory,
    settings: undefined,
    deliver: async () => {
      if (plan.output.form !== 'tar') return
      const { compression } = plan.output
      const reproducible = plan.sourceDateEpoch !== undefined
      const output = await openOutput(destination, cleanup, log, signal)
      const archive = packTree(tree, { signal, log })
      await output.write(compress(archive, compression, { signal, reproducible }), signal)
      throwIfCanceled(signal, 'making the archive')
      // Somebody may have made one meanwhile.
      checkDelivery(plan)
      await output.publish()
    },
  }
}

function makeScratch(directory: string, name: string, cleanup: CleanupStack, log: LogSink): string {
  mkdirSync(dirname(directory), { recursive: true, mode: 0o755 })
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const path of removeStaleHiddenTrees(directory, log))
    log({ kind: 'notice', text: `removed ${path}, left by a process that is gone` })
  const hidden = claimHiddenTree(directory, name)
  cleanup.defer(`scratch ${hidden.path}`, () => hidden.remove())
  mkdirSync(hidden.path, { mode: 0o755 })
  return hidden.path
}
