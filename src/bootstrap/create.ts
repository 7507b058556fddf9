/**
 * `create`: a recipe becomes a tree. Resolve, preflight, stage, bootstrap, finish, verify, publish; until
 * the last step nothing is to be seen under the tree's name.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { randomSuffix } from '../images/random-suffix.ts'
import { phase, type LogSink } from '../log.ts'
import type { Recipe } from '../recipe.ts'
import { withoutPasswords } from '../url-secrets.ts'
import type { CreateContext } from './create-context.ts'
import { customizeTree } from './customize.ts'
import { prepareDelivery } from './delivery.ts'
import { familyOf } from './families.ts'
import { finishTree, tidyTree } from './finishing.ts'
import { inspectHost, type BootstrapHost } from './host.ts'
import { manifestPath, treeLogPath, writeManifest } from './manifest.ts'
import { isWorthKeeping, linkFromPool, packagePool, returnToPool } from './package-cache.ts'
import { planTree, type TreePlan, type TreeRequest } from './plan.ts'
import {
  checkKeyring,
  checkPlan,
  freeBytes,
  leftToTheArchive,
  spaceHint,
  templatesDirectory,
} from './preflight.ts'
import { loadRecipe } from './recipes.ts'
import { settleTree } from './same-again.ts'
import { makeStage } from './stage.ts'
import { nearest } from '../settings/nearest.ts'
import { strategiesOf } from './strategies.ts'
import type { Strategy, StrategyPaths, StrategyRun } from './strategy.ts'
import { ToolLog } from './tool-log.ts'
import type { TreeInMaking } from './run-in-tree.ts'
import { hostTools, type ToolPlace, type ToolRun } from './tools.ts'
import { openTreeCache } from './tree-cache.ts'
import { toolsTree } from './tools-tree.ts'
import { TreeFiles } from './tree-files.ts'
import { tryTree } from './try-tree.ts'
import { verifyTree } from './verify.ts'

export interface CreatedTree {
  readonly name: string
  readonly path: string
  readonly release: string
  readonly architecture: string
  readonly strategy: string
  readonly packages: number
  readonly manifest: string
  readonly log: string
  readonly durationMs: number
}

/**
 * Decides how the tree would be made; changes nothing.
 *
 * @throws NspawnError `USAGE`, `RECIPE_UNKNOWN`, `BOOTSTRAP_IMPOSSIBLE`
 */
export async function planCreate(
  request: TreeRequest,
  machinesDirectory: string,
): Promise<TreePlan> {
  if (request.keyring !== undefined) checkKeyring(request.keyring)
  const recipe = await loadRecipe(request.recipe)
  const output = { currentDirectory: process.cwd(), ...request.output }
  return planTree(
    { ...request, output },
    recipe,
    inspectHost(),
    strategiesOf(recipe),
    machinesDirectory,
  )
}

/**
 * Refuses what `createTree()` would refuse before it begins, and changes nothing.
 *
 * @returns what only the archive will tell, and what else will be needed, in words
 * @throws NspawnError as `createTree()` before it begins
 */
export async function checkCreate(plan: TreePlan, machinesDirectory: string): Promise<string[]> {
  const recipe = await loadRecipe(plan.recipeFile ?? plan.recipe)
  checkPlan(plan, strategyOf(plan, recipe), inspectHost(), machinesDirectory)
  const root =
    process.geteuid?.() === 0 ? [] : ['making it needs root, and so may looking at what is there']
  return [...root, ...leftToTheArchive(plan, recipe)]
}

function strategyOf(plan: TreePlan, recipe: Recipe): Strategy {
  return strategiesOf(recipe).find(({ id }) => id === plan.strategy)!
}

/**
 * Makes the tree that `plan` describes.
 *
 * @throws NspawnError `IMAGE_EXISTS`, `NOT_ROOT`, `CANCELED`, `ENOSPC`, `BOOTSTRAP_…`; nothing is left then
 */
export async function createTree(plan: TreePlan, context: CreateContext): Promise<CreatedTree> {
  const began = performance.now()
  const host = inspectHost()
  const recipe = await loadRecipe(plan.recipeFile ?? plan.recipe)
  const strategy = strategyOf(plan, recipe)
  if (process.geteuid?.() !== 0) {
    throw new NspawnError('making a tree needs root', {
      code: 'NOT_ROOT',
      hint: 'run it with sudo',
    })
  }
  const secrets = checkPlan(plan, strategy, host, context.machinesDirectory)
  const templates = templatesDirectory()
  context.log({
    kind: 'notice',
    text: `${plan.destination}: ${plan.strategy} (${plan.strategyReason}), from ${withoutPasswords(plan.archive.mirror)}`,
  })
  const timingsMs: Record<string, number> = {}
  const timed = (name: string, title: string, work: () => Promise<void>) =>
    phase(context.log, title, async () => {
      const start = performance.now()
      await work()
      timingsMs[name] = Math.round(performance.now() - start)
    })
  // Services of a tree made under a tight umask cannot read its files.
  const umask = process.umask(0o022)
  const cleanup = new CleanupStack()
  let told: ToolLog | undefined
  try {
    let delivered = false
    const delivery = prepareDelivery(plan, cleanup, context)
    // Not before the name is ours: the log of somebody else's work would be put aside.
    const log = new ToolLog(treeLogPath(context, 'create', plan.destination, plan.name))
    cleanup.defer('log', () => log.close())
    told = log
    const stage = makeStage(delivery.tree, delivery.directory)
    cleanup.defer('failed tree', () => {
      if (plan.failed === 'keep' && !delivered && context.signal?.aborted !== true)
        keepFailed(stage.tree, dirname(delivery.directory), plan.name, context.log)
    })
    const files = new TreeFiles(stage.tree)
    const tree: TreeInMaking = { root: stage.tree, log, context, users: plan.users }
    const pool = packagePool(context.stateDirectory, plan)
    const paths = { ...stage, templates, pool }
    let filled: FilledBy | undefined
    const cache = context.cache === 'off' ? undefined : await openTreeCache(plan, strategy, context)
    if (await cache?.take(stage.tree)) {
      const text = 'the same tree was made before: taking a copy of it'
      log.add(text)
      context.log({ kind: 'notice', text })
    } else {
      const title = `installing ${plan.recipe} ${plan.release} with ${strategy.id}`
      await timed('bootstrap', title, async () => {
        filled = await bootstrap(plan, recipe, strategy, host, { paths, log, context })
        if (strategy.updates === 'after') await familyOf(plan).installUpdates(tree, files, plan)
      })
      if (cache !== undefined)
        await timed('keep', 'keeping a copy for next time', () => cache.keep(stage.tree))
    }
    await timed('finish', 'finishing the tree', async () => {
      const finishing = { files, plan, tree, templates }
      await finishTree(finishing)
      if (await customizeTree(finishing, secrets)) await tidyTree(finishing)
      writeSettings(plan, delivery.settings)
    })
    let packages = 0
    const manifest = manifestPath(
      context.stateDirectory,
      context.machinesDirectory,
      plan.destination,
      plan.name,
    )
    await timed('publish', 'checking and publishing', async () => {
      // A copy of a kept tree may have a database that only the same tools can read.
      const place =
        filled?.tools ??
        (plan.archive.family === 'rpm'
          ? await toolPlace(plan, strategy, host, { paths, log, context, readLine: undefined })
          : undefined)
      const installed = await verifyTree({ ...tree, tools: place }, files, plan)
      packages = installed.length
      await tryTree(files.root, context)
      throwIfCanceled(context.signal, 'making a tree')
      const { sourceDateEpoch } = plan
      if (sourceDateEpoch !== undefined) await settleTree(files, sourceDateEpoch, context.signal)
      await delivery.deliver()
      delivered = true
      writeManifest(manifest, {
        plan,
        tools: filled?.versions ?? {},
        packages: installed,
        timingsMs,
        createdAt: new Date().toISOString(),
        log: log.path,
      })
    })
    return {
      name: plan.name,
      path: plan.destination,
      release: plan.release,
      architecture: plan.architecture,
      strategy: plan.strategy,
      packages,
      manifest,
      log: log.path,
      durationMs: Math.round(performance.now() - began),
    }
  } catch (error) {
    throw told?.failure(error) ?? error
  } finally {
    process.umask(umask)
    await cleanup.releaseAll()
  }
}

/** What can be left when a program has just failed to write: files of packages are as large. */
const exhaustedBytes = 16_000_000

/** What a tree was filled with. */
interface FilledBy {
  readonly tools: ToolPlace
  /** By program. */
  readonly versions: Readonly<Record<string, string>>
}

async function bootstrap(
  plan: TreePlan,
  recipe: Recipe,
  strategy: Strategy,
  host: BootstrapHost,
  { paths, log, context }: Omit<StrategyRun, 'tools'>,
): Promise<FilledBy> {
  if (plan.signatures === 'ignored') {
    context.log({
      kind: 'warning',
      text: 'signatures of the archive are not checked: whoever is between here and the mirror can put anything into this tree',
    })
  }
  const { pool } = paths
  const isPackage = (name: string) => familyOf(plan).isPackage(name, plan.packageArchitecture)
  if (strategy.takesFromPool !== 'itself') await linkFromPool(pool, paths.packages, isPackage)
  const readLine = strategy.readLine?.bind(strategy)
  const run = { paths, log, context, readLine }
  const tools = await toolPlace(plan, strategy, host, run)
  const versions = await programVersions(strategy, tools, paths)
  try {
    await strategy.fill(plan, { paths, log, context, tools })
  } catch (error) {
    throw suggestRelease(explain(error, strategy, log, freeBytes(paths.tree)), plan, recipe)
  }
  // Nobody vouches for these, and the next tree may ask for more.
  const filled: FilledBy = { tools, versions }
  if (!isWorthKeeping(plan)) return filled
  try {
    await returnToPool(pool, paths.packages, isPackage)
    if (strategy.takesFromPool !== 'itself') {
      const archives = new TreeFiles(paths.tree).resolve('/var/cache/apt/archives')
      await returnToPool(pool, archives, isPackage)
    }
  } catch (error) {
    // The tree is whole; the next one will just fetch again.
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    context.log({
      kind: 'warning',
      text: `cannot keep the downloaded packages in ${pool}: ${message}`,
    })
  }
  return filled
}

/**
 * Puts what there is of a tree aside, where no later run takes it away; nothing happens once it has its name.
 * Hidden, so that nobody takes it for an image.
 */
function keepFailed(tree: string, directory: string, name: string, log: LogSink): void {
  const kept = join(directory, `.failed-${name}-${randomSuffix()}`)
  try {
    renameSync(tree, kept)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  log({
    kind: 'warning',
    text: `the failed tree is kept at ${kept}`,
    hint: 'look into it with tsnspawn -D, then remove it',
  })
}

/**
 * Settings of the machine, where it is to be what it would not be without.
 *
 * @see systemd.nspawn(5), Timezone=
 */
function writeSettings({ customization }: TreePlan, path: string | undefined): void {
  if (customization.timezone === undefined || path === undefined) return
  writeFileSync(path, "# The time zone is the tree's own, not the host's.\n[Exec]\nTimezone=off\n")
}

/** A release that neither the recipe nor the archive knows is perhaps a slip. */
function suggestRelease(error: unknown, { release }: TreePlan, { releases }: Recipe): unknown {
  if (!(error instanceof NspawnError) || error.code !== 'BOOTSTRAP_SUITE') return error
  const names = releases.flatMap(({ name, version, aliases }) => [
    name,
    ...(version === undefined ? [] : [version]),
    ...(aliases ?? []),
  ])
  const meant = names.includes(release) ? undefined : nearest(release, names)
  if (meant === undefined) return error
  const { message, code, operation, subject, status, log, cause } = error
  const hint = `did you mean --release=${meant}?`
  return new NspawnError(message, { code, operation, subject, status, log, cause, hint })
}

/** The tool's failure with its own last words, its log, and what it means where that is known. */
function explain(error: unknown, strategy: Strategy, log: ToolLog, free: number): unknown {
  if (strategy.diagnose === undefined) return error
  if (!(error instanceof NspawnError) || error.code === 'CANCELED') return error
  // The strategy knew more than the tool's words say.
  if (error.code.startsWith('BOOTSTRAP_')) return error
  const full = { code: 'ENOSPC', message: 'the disk is full', hint: spaceHint }
  // Not every tool says why a download could not be written.
  const diagnosis = free < exhaustedBytes ? full : strategy.diagnose(log.lines)
  const words = log.complaints().join('\n  ')
  return new NspawnError(`cannot make a tree with ${strategy.id}: ${diagnosis?.message ?? words}`, {
    code: diagnosis?.code ?? 'BOOTSTRAP_FAILED',
    operation: strategy.id,
    status: error.status,
    hint: diagnosis?.hint,
    log: log.path,
  })
}

function toolPlace(
  plan: TreePlan,
  strategy: Strategy,
  host: BootstrapHost,
  run: ToolRun,
): ToolPlace | Promise<ToolPlace> {
  if (strategy.place !== 'tools tree') return hostTools(host, run, plan)
  const { machinesDirectory } = run.context
  const make = async (request: TreeRequest) =>
    createTree(await planCreate(request, machinesDirectory), { ...run.context, cache: 'off' })
  return toolsTree(strategy.toolPackages ?? [], plan, run, { make, machinesDirectory })
}

async function programVersions(
  { programs, versionCommand = (program) => [program, '--version'] }: Strategy,
  tools: ToolPlace,
  paths: StrategyPaths,
): Promise<Record<string, string>> {
  const versions: Record<string, string> = {}
  for (const program of programs) {
    // Some make directories in the home of whoever asks.
    const environment = { HOME: paths.temporary }
    const { stdout } = await tools.run(versionCommand(program, paths), { environment })
    versions[program] = /(?<!\S)v?(\d\S*)/.exec(stdout)?.[1] ?? stdout.trim()
  }
  return versions
}
