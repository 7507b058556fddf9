/**
 * Trees of tools: a host that lacks a package manager runs it in a container of a distribution that has it. The tree
 * is made once by the embedded bootstrapper, kept as a hidden image beside the others, and never changed: every
 * program runs on a throw-away copy of it. The stage lies at the same path inside, so a strategy need not know.
 */
import { existsSync, statSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import type { Archive } from './archives/archive.ts'
import { namedKeyrings, namedPlaces } from './named-places.ts'
import type { TreePlan, TreeRequest } from './plan.ts'
import type { Strategy, StrategyPaths } from './strategy.ts'
import { runInTree, type HostBind } from './run-in-tree.ts'
import { eitherSignal, type ToolOptions, type ToolPlace, type ToolRun } from './tools.ts'
import { TreeFiles } from './tree-files.ts'

/** After this long its package manager, and the keys in it, are worth renewing. */
const renewAfterMs = 30 * 24 * 3600 * 1000

/** While somebody else makes the tree. */
const lookAgainMs = 1000

/**
 * The strategy with its programs in a tree of tools instead of on the host. Whether that tree can be made shows when it
 * is needed.
 */
export function inToolsTree(strategy: Strategy): Strategy {
  return {
    ...strategy,
    id: `tools:${strategy.id}` as Strategy['id'],
    place: 'tools tree',
    obstacle(draft, host) {
      if (host.architecture === undefined)
        return { reason: 'there is no tree of tools for the architecture of this host' }
      const named = namedKeyrings(draft.archive)
      // Keys of rpm packages are handed over from the host too.
      const fromHost = (path: string) => named.includes(path) || draft.archive.family === 'rpm'
      const hasFile = (path: string) =>
        fromHost(path) ? host.hasFile(path) : (strategy.toolFiles?.includes(path) ?? true)
      return strategy.obstacle(draft, { ...host, findProgram: somewhere, hasFile })
    },
  }
}

function somewhere(name: string): string {
  return `/usr/bin/${name}`
}

/** How the tree with these packages of Debian is made; its name tells what is in it. */
export function toolsTreeRequest(packages: readonly string[]): TreeRequest & { name: string } {
  const mark = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 8)
  return {
    recipe: 'debian',
    name: `.tools-${packages[0]}-${mark}`,
    include: ['ca-certificates', ...packages],
    variant: 'minbase',
  }
}

/** Where that tree is. */
export function toolsTreePath(machinesDirectory: string, packages: readonly string[]): string {
  return join(machinesDirectory, toolsTreeRequest(packages).name)
}

export interface ToolsTreeMaker {
  /** Makes the tree of a request in the machines directory; another one of the name is replaced. */
  readonly make: (request: TreeRequest) => Promise<unknown>
  readonly machinesDirectory: string
}

/**
 * Programs of the tools tree with these packages, which is made, or renewed, when that is needed.
 *
 * @param packages of Debian
 * @throws NspawnError whatever making the tree meets
 */
export async function toolsTree(
  packages: readonly string[],
  plan: TreePlan,
  run: ToolRun,
  maker: ToolsTreeMaker,
): Promise<ToolPlace> {
  const tree = toolsTreePath(maker.machinesDirectory, packages)
  await provide(tree, packages, plan, run, maker)
  const files = new TreeFiles(tree)
  const directories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin']
  const hasFile = (path: string): boolean => files.stat(path) !== undefined
  return {
    findProgram: (name) =>
      directories.map((directory) => join(directory, name)).find((path) => hasFile(path)),
    hasFile,
    run: (argv, options = {}) => runInside(tree, argv, options, plan, run),
  }
}

async function provide(
  tree: string,
  packages: readonly string[],
  plan: TreePlan,
  run: ToolRun,
  maker: ToolsTreeMaker,
): Promise<void> {
  const { context, log } = run
  const { network } = plan
  const request = toolsTreeRequest(packages)
  const made = existsSync(tree) ? madeAt(tree) : undefined
  const isFresh = made !== undefined && Date.now() - made < renewAfterMs
  if (isFresh || (made !== undefined && network === 'forbidden')) return
  const what = `a tree of tools with ${packages.join(', ')}`
  log.add(`${made === undefined ? 'making' : 'renewing'} ${what}`)
  context.log({ kind: 'notice', text: `${made === undefined ? 'making' : 'renewing'} ${what}` })
  try {
    await maker.make({ ...request, network, existing: made === undefined ? 'keep' : 'replace' })
  } catch (error) {
    const { code } = error as { code?: string }
    // Somebody else has made it meanwhile, or uses the old one, which still serves.
    if (code === 'IMAGE_EXISTS' || (code === 'EBUSY' && made !== undefined)) return
    if (code === 'EBUSY') {
      log.add('somebody else is making it')
      await sleep(lookAgainMs, undefined, { signal: context.signal }).catch(() => undefined)
      throwIfCanceled(context.signal, 'making a tree')
      return await provide(tree, packages, plan, run, maker)
    }
    if (code === 'CANCELED' || made === undefined) throw error
    context.log({
      kind: 'warning',
      text: `cannot renew ${what}, the old one is used: ${(error as Error).message}`,
    })
  }
}

/** When the tree was made: nothing in it changes after. */
function madeAt(tree: string): number | undefined {
  return statSync(join(tree, 'var/lib/dpkg/status'), { throwIfNoEntry: false })?.mtimeMs
}

async function runInside(
  tree: string,
  argv: readonly [string, ...string[]],
  { environment = {}, accept = [0], apiFileSystems = 'none', signal, readLine }: ToolOptions,
  { archive }: TreePlan,
  { paths, log, context, readLine: readAll }: ToolRun,
): Promise<{ status: number; stdout: string }> {
  const prefix =
    apiFileSystems === 'mounted' ? [join(paths.templates, 'api-file-systems'), paths.tree] : []
  const [program, ...rest] = [...prefix, ...argv]
  const stdout: string[] = []
  const last: string[] = []
  const own = { ...context, signal: eitherSignal(context.signal, signal) }
  const { status } = await runInTree({ root: tree, log, context: own }, [program!, ...rest], {
    network: 'host',
    environment: { TMPDIR: paths.temporary, ...environment },
    binds: binds(paths, archive),
    changes: 'dropped',
    streams: 'apart',
    onLine(line, stream) {
      const told = (readLine ?? readAll)?.(line)
      if (told !== undefined) context.log(told)
      if (stream === 'stdout') stdout.push(line)
      last.push(line)
      if (last.length > 5) last.shift()
    },
  })
  if (accept.includes(status)) return { status, stdout: stdout.join('\n') }
  throw new NspawnError(`cannot run ${argv[0]}: ${last.join('\n  ')}`, {
    code: 'PROGRAM_FAILED',
    operation: argv[0],
    status,
    log: log.path,
  })
}

/** Everything that a strategy may name on a command line, where it lies on the host. */
function binds(paths: StrategyPaths, archive: Archive): HostBind[] {
  const { written, read } = namedPlaces(paths, archive)
  const bind = (path: string, access: 'read-only' | 'read-write') => ({
    source: path,
    destination: path,
    access,
  })
  return [
    ...written.map((path) => bind(path, 'read-write')),
    ...read.map((path) => bind(path, 'read-only')),
  ]
}
