/** Makes what a container needs on the host; each thing is registered with the `CleanupStack` that releases it. */
import { chownSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { prepareEphemeral } from '../images/ephemeral.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../images/hidden-tree.ts'
import { pickIdRange } from '../images/id-range.ts'
import { lockImage } from '../images/lock.ts'
import { randomBytes, randomSuffix } from '../images/random-suffix.ts'
import { removeTree } from '../images/remove-tree.ts'
import { resolveInRoot } from '../images/resolve-in-root.ts'
import type { LogSink } from '../log.ts'
import type { TemporaryDirectories } from '../plan/custom-mounts.ts'
import type { ContainerPlan, UsersPlan } from '../plan/plan.ts'
import type { HostChanges } from './host-changes.ts'
import { imagePlace } from './image-place.ts'
import { checkLinks } from './network/links.ts'
import { makePropagateDirectory } from './propagate.ts'

/** Where a bind without source comes from; systemd-nspawn(1), `--bind=`. */
export const TEMPORARY_DIRECTORY = '/var/tmp'

export function madeHostChanges(log: LogSink, cleanup: CleanupStack): HostChanges {
  let imageRoot: string | undefined
  return {
    populate: async (template, target, access, quiet) => {
      await populate(template, target, access, quiet, log)
      return target
    },
    lock: (path, mode) => {
      const lock = lockImage(path, mode)
      cleanup.defer(`lock of ${path}`, () => lock.release())
    },
    throwAwayCopy: async (tree) => {
      const copy = await prepareEphemeral(tree, { log }, cleanup)
      return copy.kind === 'overlay' ? copy : { kind: 'directory', path: copy.path }
    },
    attachImage: async (request) => {
      const { attachDiskImage } = await import('./attach-image.ts')
      const attached = await attachDiskImage(request, log, cleanup)
      imageRoot = attached.root
      mkdirSync(imagePlace(), { recursive: true, mode: 0o755 })
      return attached
    },
    idRange: async (machine, owner) => {
      const range = await pickIdRange(machine, owner)
      cleanup.defer('id range', () => range.release())
      return { base: range.base, length: range.length }
    },
    temporaryDirectories: (users) => temporaryDirectories(users, log, cleanup),
    checkNetwork: ({ network }) => {
      if (network !== undefined) checkLinks(network.links, 'short')
    },
    overlayWork: (plan) => registerOverlayWork(plan, imageRoot, cleanup),
    propagateDirectory: (machine) => makePropagateDirectory(machine, cleanup),
    suffix: randomSuffix,
    uuid: randomUuid,
  }
}

async function populate(
  template: string,
  target: string,
  access: 'read-only' | 'read-write',
  quiet: boolean,
  log: LogSink,
): Promise<void> {
  const { populateFromTemplate } = await import('../images/template.ts')
  const how = await populateFromTemplate({ template, target, access, log })
  if (quiet) return
  log({
    kind: 'notice',
    text:
      how === 'exists'
        ? `Directory ${target} already exists, not populating from template ${template}.`
        : `Populated ${target} from template ${template}.`,
  })
}

function temporaryDirectories(
  users: UsersPlan | undefined,
  log: LogSink,
  cleanup: CleanupStack,
): TemporaryDirectories {
  let swept = false
  return {
    next: () => {
      if (!swept) removeStaleHiddenTrees(TEMPORARY_DIRECTORY, log)
      swept = true
      const hidden = claimHiddenTree(TEMPORARY_DIRECTORY, 'temp')
      cleanup.defer('temporary directory', hidden.remove)
      const path = join(hidden.path, 'src')
      mkdirSync(path, { recursive: true, mode: 0o755 })
      if (users !== undefined) chownSync(path, users.base, users.base)
      return path
    },
    workName: (upper) => `.#${basename(upper)}${randomSuffix()}`,
  }
}

/** They lie beside the upper, on the host or in the tree. */
function registerOverlayWork(
  plan: ContainerPlan,
  imageRoot: string | undefined,
  cleanup: CleanupStack,
): void {
  const { root } = plan
  // Where the tree of an image is mounted nobody but the container can look.
  const tree = plan.image === undefined && root.kind === 'directory' ? root.hostPath : imageRoot
  for (const step of plan.outer) {
    if (step.kind !== 'overlay' || step.upper === undefined) continue
    const { source, workName } = step.upper
    cleanup.defer(`work directory ${workName}`, () => {
      const parent =
        source.kind === 'host'
          ? join(source.hostPath, '..')
          : tree === undefined
            ? undefined
            : resolveInRoot(tree, join(source.path, '..'), 'allow')
      if (parent !== undefined) removeTree(join(parent, workName))
    })
  }
}

/** A random 128-bit ID marked as a version 4 UUID, as sd_id128_randomize(3) makes them. */
function randomUuid(): string {
  const bytes = randomBytes(16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex')
}
