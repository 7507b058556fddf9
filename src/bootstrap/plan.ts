/**
 * Decides everything about a new tree before anything is done: a request, a recipe and facts about the
 * host become one plain value that `--dry-run` prints and the pipeline walks.
 */
import { createHash } from 'node:crypto'
import { basename, dirname, resolve } from 'node:path'
import { NspawnError, usageError } from '../errors.ts'
import { isImageName } from '../images/names.ts'
import type {
  AptRelease,
  Architecture,
  Family,
  FinishingItem,
  PackageSets,
  Recipe,
  Release,
  StrategyId,
} from '../recipe.ts'
import { planArchive, type Archive, type ArchiveOf } from './archives/archive.ts'
import { plainWord } from './archives/words.ts'
import { isBuiltIn } from './customize/locale-name.ts'
import { oneOf } from './one-of.ts'
import { canExecute, type BootstrapHost } from './host.ts'
import { isRecipePath } from './recipe-path.ts'
import { outputDestination, planOutput, type Output, type OutputRequest } from './output.ts'
import {
  readCustomization,
  type Customization,
  type CustomizationSource,
} from './customize/customization.ts'

/** What a user asks for; all that is absent is decided by recipe and host. */
export interface TreeRequest {
  /** The name of a recipe that comes along, or the path of one. */
  readonly recipe: string
  /** Default: recipe and codename (`debian-trixie`), and the architecture if it is not the host's. */
  readonly name?: string | undefined
  readonly release?: string | undefined
  readonly architecture?: string | undefined
  /** A package set of the recipe (`minimal`, `build`, `boot`) or a variant of the tool (`minbase`). */
  readonly variant?: string | undefined
  readonly include?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
  readonly components?: readonly string[] | undefined
  readonly mirror?: string | undefined
  /** Further places that have the same archive, asked where the first fails. */
  readonly otherMirrors?: readonly string[] | undefined
  /** `forbidden`: everything comes from the cache, or from this host. */
  readonly network?: 'allowed' | 'forbidden' | undefined
  /** Whether an index that its archive no longer vouches for is taken. */
  readonly outdated?: 'refused' | 'accepted' | undefined
  /** Repositories beside the recipe's, as the family writes them (`NAME=URL`, `deb URL SUITE COMPONENT`). */
  readonly repositories?: readonly string[] | undefined
  /** Keyring file that the archive must be signed by; default the distribution's own. */
  readonly keyring?: string | undefined
  readonly signatures?: 'required' | 'ignored' | undefined
  readonly via?: string | undefined
  /** `none` leaves out the suites for updates and security, which an archive of one's own may not have. */
  readonly updates?: 'all' | 'none' | undefined
  /** Absolute; makes the tree right there instead of in the machines directory. */
  readonly directory?: string | undefined
  /** What to do when the destination exists. */
  readonly existing?: 'keep' | 'replace' | undefined
  /** What becomes of a tree that cannot be made; default `remove`. */
  readonly failed?: 'remove' | 'keep' | undefined
  /** Whether scripts of packages run as the host's users or as users of a container; default `host`. */
  readonly users?: 'host' | 'private' | undefined
  /** Default: a directory. */
  readonly output?: OutputRequest | undefined
  /** Seconds since 1970: two trees of the same packages are then the same. */
  readonly sourceDateEpoch?: number | undefined
  /** Adds to what the recipe says, or takes its place. */
  readonly customize?: CustomizationSource | undefined
}

/** @typeParam A the archive that a strategy knows how to use */
export interface TreePlan<A extends Archive = Archive> {
  readonly recipe: string
  /** Absolute; undefined for a recipe that comes along. */
  readonly recipeFile: string | undefined
  readonly name: string
  /** Of the tree, the archive (`-` for standard output) or the disk image. */
  readonly destination: string
  readonly existing: 'keep' | 'replace'
  readonly failed: 'remove' | 'keep'
  readonly network: 'allowed' | 'forbidden'
  readonly users: 'host' | 'private'
  readonly output: Output
  readonly sourceDateEpoch: number | undefined
  /** The recipe's name of it, or what the user said when the recipe does not know it. */
  readonly release: string
  readonly architecture: Architecture
  /** The distribution's name of it (`amd64`). */
  readonly packageArchitecture: string
  readonly execution: 'native' | 'emulated'
  /** The tool's where it has such, else the recipe's. */
  readonly variant: string
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Whether the tree is made to boot: its machine-id then asks for a first boot. */
  readonly purpose: 'boot' | 'command'
  readonly archive: A
  readonly signatures: 'required' | 'ignored'
  readonly strategy: StrategyId
  readonly strategyReason: string
  readonly finishing: readonly FinishingItem[]
  readonly customization: Customization
  readonly osRelease: {
    readonly id: string
    readonly codename: string | undefined
    readonly version: string | undefined
    readonly versionMatch: 'whole' | 'major'
    readonly buildId: string | undefined
  }
}

/** Why a strategy cannot make this tree here, and what would change that. */
export interface Obstacle {
  readonly reason: string
  readonly hint?: string
}

/** What a strategy's judgement is made from: the plan before a strategy has been chosen. */
export type TreeDraft<A extends Archive = Archive> = Omit<
  TreePlan<A>,
  'strategy' | 'strategyReason'
>

/** Wishes that only some strategies can fulfil. */
export type Ability = 'offline' | 'several mirrors' | 'private users'

/** A strategy as far as planning needs it. */
export interface StrategyJudge<A extends Archive = Archive> {
  readonly id: StrategyId
  /** What not every strategy can do, and this one can. */
  readonly abilities?: readonly Ability[]
  obstacle(draft: TreeDraft<A>, host: BootstrapHost): Obstacle | undefined
}

/**
 * @param strategies in the recipe's order
 * @throws NspawnError `USAGE`, or `BOOTSTRAP_IMPOSSIBLE` when no strategy can work on this host
 */
export function planTree<R extends Recipe>(
  request: TreeRequest,
  recipe: R,
  host: BootstrapHost,
  strategies: readonly StrategyJudge[],
  machinesDirectory: string,
): TreePlan<ArchiveOf<R>> {
  const draft = draftTree(request, recipe, host, machinesDirectory)
  return { ...draft, ...chooseStrategy(request.via, draft, host, strategies) }
}

export const emulatorHint =
  'install qemu-user-static and binfmt-support, so that the kernel hands them to an emulator'

/** Everything but the strategy. */
export function draftTree<R extends Recipe>(
  request: TreeRequest,
  recipe: R,
  host: BootstrapHost,
  machinesDirectory: string,
): TreeDraft<ArchiveOf<R>> {
  const known = findRelease(request.release ?? recipe.defaultRelease, recipe)
  const release = known?.name ?? plainWord('release', request.release!)
  const architecture = readArchitecture(request.architecture, recipe, host)
  const execution = canExecute(host, architecture)
  const packageArchitecture = recipe.architectures[architecture]!
  if (execution === 'no') {
    throw new NspawnError(`programs of ${packageArchitecture} do not run on this host`, {
      code: 'BOOTSTRAP_IMPOSSIBLE',
      hint: emulatorHint,
    })
  }
  const outputRequest = request.output ?? {}
  const output = planOutput(outputRequest)
  if (request.directory !== undefined && output.form !== 'directory' && output.form !== 'subvolume')
    throw usageError('--directory is for trees', '--output-file says where a file goes')
  const set = packageSet(request.variant ?? 'minimal', recipe, known)
  const suffix = architecture === host.architecture ? '' : `-${packageArchitecture}`
  const name =
    request.name ??
    (request.directory !== undefined
      ? basename(request.directory)
      : output.form === 'raw' && outputRequest.file !== undefined
        ? basename(outputRequest.file, '.raw')
        : `${recipe.id}-${release.replaceAll('/', '-')}${suffix}`)
  if (!isImageName(name)) throw usageError(`${JSON.stringify(name)} cannot be the name of an image`)
  const purpose = request.variant === 'boot' ? 'boot' : 'command'
  const own = { words: recipe.customize ?? {}, directory: resolve(dirname(request.recipe)) }
  const customization = readCustomization(
    [own, ...(request.customize === undefined ? [] : [request.customize])],
    purpose,
  )
  const packages = (option: string, words: readonly string[] = []) =>
    words.map((word) => packageName(recipe.family, option, word))
  return {
    recipe: recipe.id,
    recipeFile: isRecipePath(request.recipe) ? resolve(request.recipe) : undefined,
    name,
    destination:
      request.directory ?? outputDestination(output, outputRequest, name, machinesDirectory),
    existing: request.existing ?? 'keep',
    failed: request.failed ?? 'remove',
    network: request.network ?? 'allowed',
    users: request.users ?? 'host',
    output,
    sourceDateEpoch: request.sourceDateEpoch,
    release,
    architecture,
    packageArchitecture,
    execution,
    variant: set.variant,
    include: [
      ...set.include,
      ...packages('--include', request.include),
      ...localePackages(recipe, customization),
    ],
    exclude: packages('--exclude', request.exclude),
    purpose,
    archive: planArchive(request, recipe, { name: release, architecture }, host),
    signatures: request.signatures ?? 'required',
    finishing: recipe.finishing,
    customization,
    osRelease: expectedOsRelease(recipe, known),
  }
}

/** What brings the locale that was asked for. */
function localePackages({ localePackage }: Recipe, { locale }: Customization): string[] {
  if (locale === undefined || localePackage === undefined || isBuiltIn(locale)) return []
  return [localePackage.replace('$language', /^[A-Za-z]+/.exec(locale)![0])]
}

function findRelease(said: string, { releases }: Recipe): Release | undefined {
  return releases.find(({ name, version, aliases }) =>
    [name, version, ...(aliases ?? [])].includes(said),
  )
}

/** Of a release that the recipe does not know only the distribution is foretold. */
function expectedOsRelease(recipe: Recipe, known: Release | undefined): TreePlan['osRelease'] {
  const codename = recipe.family === 'apt' ? aptCodename(known) : undefined
  return {
    id: recipe.osRelease.id,
    codename,
    version: known?.version,
    versionMatch: known?.versionMatch ?? 'whole',
    buildId: recipe.osRelease.buildId,
  }
}

function aptCodename(known: AptRelease | undefined): string | undefined {
  return known?.osCodename ?? known?.name
}

/** A short identity of what the plan makes, whatever it is called and wherever it lies. */
export function planHash(plan: TreePlan): string {
  const {
    name: _name,
    recipeFile: _file,
    destination: _destination,
    existing: _existing,
    failed: _failed,
    network: _network,
    output: _output,
    strategyReason: _reason,
    ...content
  } = plan
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}

function chooseStrategy(
  via: string | undefined,
  draft: TreeDraft,
  host: BootstrapHost,
  strategies: readonly StrategyJudge[],
): Pick<TreePlan, 'strategy' | 'strategyReason'> {
  if (via !== undefined) {
    const strategy = strategies.find(({ id }) => id === via)
    if (strategy === undefined) {
      const ids = strategies.map(({ id }) => id)
      throw usageError(`--via=${via} is no strategy of recipe ${draft.recipe}`, oneOf(via, ids))
    }
    const obstacle = obstacleOf(strategy, draft, host)
    if (obstacle !== undefined)
      throw impossible(`${via} cannot make this tree: ${obstacle.reason}`, obstacle.hint)
    return { strategy: strategy.id, strategyReason: 'asked for with --via' }
  }
  const passed: { id: string; reason: string }[] = []
  let hint: string | undefined
  for (const strategy of strategies) {
    const obstacle = obstacleOf(strategy, draft, host)
    if (obstacle === undefined) {
      const reason =
        passed.length === 0
          ? 'first choice of the recipe'
          : `next choice, since ${groupReasons(passed).join('; ')}`
      return { strategy: strategy.id, strategyReason: reason }
    }
    passed.push({ id: strategy.id, reason: obstacle.reason })
    hint ??= obstacle.hint
  }
  const [first, ...others] = groupReasons(passed)
  const [common] = passed
  throw impossible(
    others.length === 0 && common !== undefined
      ? `no strategy can make this tree on this host: ${common.reason}`
      : `no strategy can make this tree on this host:\n  ${[first, ...others].join('\n  ')}`,
    hint,
  )
}

/** Each reason once, behind all that have it: `dnf5, dnf: there is no key`. */
export function groupReasons(
  passed: readonly { readonly id: string; readonly reason: string }[],
): string[] {
  const reasons = new Set(passed.map(({ reason }) => reason))
  return [...reasons].map((reason) => {
    const ids = passed.filter((one) => one.reason === reason).map(({ id }) => id)
    return `${ids.join(', ')}: ${reason}`
  })
}

function obstacleOf(
  strategy: StrategyJudge,
  draft: TreeDraft,
  host: BootstrapHost,
): Obstacle | undefined {
  const lacks = (ability: Ability) => strategy.abilities?.includes(ability) !== true
  if (draft.network === 'forbidden' && lacks('offline') && !isLocal(draft.archive)) {
    return {
      reason: 'it fetches from the network',
      hint: 'name an archive on this host with --mirror, or leave --offline out',
    }
  }
  const { archive, users } = draft
  if (archive.family === 'apt' && archive.otherMirrors.length > 0 && lacks('several mirrors'))
    return { reason: 'it takes one mirror', hint: 'give --mirror once' }
  if (users === 'private' && lacks('private users')) {
    return {
      reason: "it runs scripts of packages with the host's users",
      hint: 'leave --private-users out',
    }
  }
  return strategy.obstacle(draft, host)
}

/** Whether all of the archive is on this host. */
function isLocal(archive: Archive): boolean {
  const beside =
    archive.family === 'apt'
      ? [
          ...archive.otherMirrors,
          ...archive.extraSuites.map(({ mirror }) => mirror),
          ...archive.repositories.map(({ uri }) => uri),
        ]
      : []
  return [archive.mirror, ...beside].every((uri) => /^(file|copy):/.test(uri))
}

function impossible(message: string, hint: string | undefined): NspawnError {
  return new NspawnError(message, { code: 'BOOTSTRAP_IMPOSSIBLE', hint })
}

/** Takes systemd's name or the distribution's (`arm64`, `amd64`). */
function readArchitecture(
  said: string | undefined,
  recipe: Recipe,
  host: BootstrapHost,
): Architecture {
  const known = Object.entries(recipe.architectures) as [Architecture, string][]
  const wanted = said ?? host.architecture
  const match = known.find(([name, own]) => name === wanted || own === wanted)
  if (match !== undefined) return match[0]
  const names = known.map(([, own]) => own)
  throw usageError(
    `${recipe.title} has no architecture called ${JSON.stringify(wanted)}`,
    oneOf(wanted ?? '', names),
  )
}

function packageSet(variant: string, recipe: Recipe, release: Release | undefined): TreeSet {
  const sets = { ...recipe.packageSets, ...release?.packageSets }
  if (Object.hasOwn(sets, variant)) {
    const { variant: own, include } = sets[variant as keyof PackageSets]
    return { variant: own ?? variant, include }
  }
  const tools = recipe.family === 'apt' ? aptVariants : []
  if (tools.includes(variant)) return { variant, include: [] }
  throw usageError(
    `${recipe.title} has no variant called ${JSON.stringify(variant)}`,
    oneOf(variant, [...Object.keys(recipe.packageSets), ...tools]),
  )
}

/** What some tool of the family calls its sets; which one has which is for the strategies to say. */
const aptVariants: readonly string[] = [
  'essential',
  'apt',
  'required',
  'minbase',
  'buildd',
  'important',
  'debootstrap',
  'standard',
]

type TreeSet = Pick<TreePlan, 'variant' | 'include'>

/** What may stand for a package; a first letter that is an option's dash would reach the tool as one. */
const packageNames: Readonly<Record<Family, RegExp>> = {
  // Debian Policy §5.6.1; apt would take a dash at the end as a wish to remove it.
  apt: /^[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?$/,
  // Arch package guidelines, "Package naming"; with a repository before it and a version behind it.
  pacman: /^([a-z0-9@._+-]+\/)?[a-z0-9@_+][a-z0-9@._+-]*([<>=]+[\w.:+~-]+)?$/,
  // A name, a group (`@core`), a file or what is provided (`/usr/bin/make`, `pkgconfig(zlib)`).
  rpm: /^[@/A-Za-z0-9_][\w.+@/():~^-]*$/,
}

function packageName(family: Family, option: string, text: string): string {
  if (packageNames[family].test(text)) return text
  throw usageError(`${option}: ${JSON.stringify(text)} is no package name`)
}
