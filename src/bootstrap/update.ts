/**
 * `update`: the packages of a tree, upgraded by its own package manager. It works on a copy, which takes the tree's
 * place in one step when it is whole: whatever fails or is killed, the old tree is as it was.
 */
import { realpathSync, statSync } from 'node:fs'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { startCopyThreads } from '../images/copy-threads.ts'
import type { Image } from '../images/discover.ts'
import { fillTree } from '../images/fill-tree.ts'
import { ID_RANGE_LENGTH } from '../images/id-range.ts'
import { lockImage } from '../images/lock.ts'
import { checkNewImage, stageImage } from '../images/new-image.ts'
import { phase } from '../log.ts'
import { runProgram } from '../process.ts'
import type { CreateContext } from './create-context.ts'
import { withHostResolver } from './customize/resolver.ts'
import { familyOfTree } from './families.ts'
import type { Family, InstalledPackage } from './families/family.ts'
import { manifestPath, treeLogPath, updateManifest, usersOfManifest } from './manifest.ts'
import type { TreeInMaking, TreeUsers } from './run-in-tree.ts'
import { treeImage } from './stage.ts'
import { ToolLog } from './tool-log.ts'
import { TreeFiles } from './tree-files.ts'
import { tryTree } from './try-tree.ts'

export interface PackageChange {
  readonly name: string
  readonly architecture: string
  /** Undefined for a package that is new. */
  readonly from: string | undefined
  /** Undefined for a package that is gone. */
  readonly to: string | undefined
}

export interface UpdatedTree {
  readonly name: string
  readonly path: string
  readonly changes: readonly PackageChange[]
  readonly log: string
  readonly durationMs: number
}

/**
 * @param mode `preview`: the copy is thrown away, so what it tells is what would be, scripts of packages and all
 * @throws NspawnError `NOT_SUPPORTED`, `NOT_AN_OS_TREE`, `EROFS`, `EBUSY`, `BOOTSTRAP_…`, `CANCELED`; the tree is as
 *   it was then
 */
export async function updateTree(
  image: Image,
  mode: 'apply' | 'preview',
  context: CreateContext,
): Promise<UpdatedTree> {
  const began = performance.now()
  const path = updatablePath(image)
  const { uid: owner } = statSync(path)
  const manifest = manifestPath(
    context.stateDirectory,
    context.machinesDirectory,
    image.path,
    image.name,
  )
  const users: TreeUsers = owner === 0 ? usersOfManifest(manifest) : 'owners'
  const target = treeImage(path, 'replace')
  checkNewImage(target)
  const umask = process.umask(0o022)
  const cleanup = new CleanupStack()
  let told: ToolLog | undefined
  try {
    const stage = stageImage({ ...target, top: 'caller' }, cleanup, context.log)
    const log = new ToolLog(treeLogPath(context, 'update', image.path, image.name))
    cleanup.defer('log', () => log.close())
    told = log
    // Nobody writes to what is copied; throw-away containers of it may go on.
    const lock = lockImage(path, 'shared')
    cleanup.defer(`lock of ${path}`, lock.release)
    const { log: sink, signal } = context
    await phase(sink, `copying ${image.name}`, () =>
      fillTree(path, stage.path, { log: sink, signal, startThreads: startCopyThreads }),
    )
    const files = new TreeFiles(stage.path, owner)
    const tree = { root: stage.path, log, context, users }
    const { packages, changes } = await phase(sink, `updating ${image.name}`, () =>
      upgrade(tree, files, image.name),
    )
    if (mode === 'apply' && changes.length > 0) {
      await phase(sink, 'checking and publishing', async () => {
        await tryTree(stage.path, context, users === 'owners' ? 'owners' : 'private')
        // Before the lock is let go: from there to the new tree's name nothing waits.
        const program = ['sync', '--file-system', stage.path] as const
        await runProgram('cannot write the updated tree to disk', program, { signal })
        throwIfCanceled(signal, 'updating a tree')
        lock.release()
        await stage.publish()
        updateManifest(manifest, packages)
      })
    }
    const durationMs = Math.round(performance.now() - began)
    return { name: image.name, path: image.path, changes, log: log.path, durationMs }
  } catch (error) {
    throw told?.failure(error) ?? error
  } finally {
    process.umask(umask)
    await cleanup.releaseAll()
  }
}

/** The tree itself, where the image's name may be a link. */
function updatablePath({ name, path, type, access, vendor }: Image): string {
  const refuse = (why: string, code: string, hint?: string) =>
    new NspawnError(`cannot update ${name}: ${why}`, {
      code,
      operation: 'update image',
      subject: path,
      hint,
    })
  if (path === '/')
    throw refuse('it is this host', 'NOT_SUPPORTED', "use the host's own package manager")
  if (type !== 'directory' && type !== 'subvolume') {
    const hint = `run the package manager in it: tsnspawn-build run --persist ${name} -- …`
    throw refuse('it is a disk image', 'NOT_SUPPORTED', hint)
  }
  if (vendor) throw refuse('it belongs to the system', 'EROFS', 'clone it, and update the clone')
  if (access === 'read-only')
    throw refuse(
      'it is read-only',
      'EROFS',
      `lift the mark with tsnspawn-build read-only ${name} no`,
    )
  const real = realpathSync(path)
  const { uid, gid } = statSync(real)
  // Where the range of a container begins, as --private-users= has it.
  if (uid === gid && uid % ID_RANGE_LENGTH === 0) return real
  throw refuse(
    `it belongs to user ${uid} and group ${gid}, which no container's root is`,
    'NOT_SUPPORTED',
    'give it to root, or to the users of a container with tsnspawn --private-users-ownership=chown',
  )
}

async function upgrade(
  tree: TreeInMaking,
  files: TreeFiles,
  name: string,
): Promise<{ packages: readonly InstalledPackage[]; changes: readonly PackageChange[] }> {
  const family = await familyOfTree(tree, files)
  if (family === undefined) {
    throw new NspawnError(`cannot update ${name}: no package manager is known to have made it`, {
      code: 'NOT_AN_OS_TREE',
      operation: 'update image',
    })
  }
  const before = await installed(family, tree, files)
  const cached = caches.map((directory) => new Set(files.list(directory)))
  await withHostResolver(files, () => family.installUpdates(tree, files, undefined))
  caches.forEach((directory, index) =>
    files.empty(directory, (entry) => entry === 'partial' || cached[index]!.has(entry)),
  )
  const packages = await installed(family, tree, files)
  return { packages, changes: compare(before, packages) }
}

async function installed(
  family: Family,
  tree: TreeInMaking,
  files: TreeFiles,
): Promise<readonly InstalledPackage[]> {
  return (await family.installedPackages(tree, files)) ?? []
}

/** Where apt and pacman leave packages that they have installed; dnf and zypper remove theirs. */
const caches = ['/var/cache/apt/archives', '/var/cache/pacman/pkg']

/** By name; a package that is there in several versions is told by those that came and went. */
export function compare(
  before: readonly InstalledPackage[],
  after: readonly InstalledPackage[],
): PackageChange[] {
  const [gone, come] = [without(before, after), without(after, before)]
  return [...new Set([...gone.keys(), ...come.keys()])].toSorted().flatMap((key) => {
    const [olds, news] = [gone.get(key) ?? [], come.get(key) ?? []]
    const [name = '', architecture = ''] = key.split('\n')
    return Array.from({ length: Math.max(olds.length, news.length) }, (_, index) => ({
      name,
      architecture,
      from: olds[index],
      to: news[index],
    }))
  })
}

/** Name and architecture → the versions that are among `some` and not among `others`. */
function without(
  some: readonly InstalledPackage[],
  others: readonly InstalledPackage[],
): Map<string, string[]> {
  const key = ({ name, architecture }: InstalledPackage) => `${name}\n${architecture}`
  const known = new Set(others.map((one) => `${key(one)}\n${one.version}`))
  const found = new Map<string, string[]>()
  for (const one of some) {
    if (known.has(`${key(one)}\n${one.version}`)) continue
    found.set(key(one), [...(found.get(key(one)) ?? []), one.version])
  }
  return found
}
