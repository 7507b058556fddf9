/**
 * Decides everything about a new tree before anything is done: a request, a recipe and facts about the
 * host become one plain value that `--dry-run` prints and the pipeline walks.
 */
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { NspawnError, usageError } from '../errors.ts'
import { isImageName } from '../images/names.ts'
import type { Architecture, FinishingItem, Recipe, Release, StrategyId } from '../recipe.ts'
import { hostMirrors } from './apt-sources.ts'
import { canExecute, type BootstrapHost } from './host.ts'
import type { RootPassword } from './finishing/root-password.ts'

/** What a user asks for; all that is absent is decided by recipe and host. */
export interface TreeRequest {
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
  readonly rootPassword?: RootPassword | undefined
}

export interface TreePlan {
  readonly recipe: string
  readonly name: string
  readonly destination: string
  readonly existing: 'keep' | 'replace'
  /** Codename, or what the user said when the recipe does not know it. */
  readonly release: string
  /** What the recipe knows about the release; undefined for a suite that only the archive knows. */
  readonly known: Release | undefined
  readonly architecture: Architecture
  /** The distribution's name of it (`amd64`). */
  readonly packageArchitecture: string
  readonly execution: 'native' | 'emulated'
  readonly variant: string
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Whether the tree is made to boot: its machine-id then asks for a first boot. */
  readonly purpose: 'boot' | 'command'
  readonly components: readonly string[]
  readonly mirror: string
  readonly mirrorFrom: 'option' | 'host' | 'recipe'
  readonly securityMirror: string | undefined
  /** Suites installed from beside the main one. */
  readonly extraSuites: readonly { readonly suite: string; readonly mirror: string }[]
  /** Sources that the tree keeps. */
  readonly keptSources: readonly { readonly uri: string; readonly suites: readonly string[] }[]
  readonly sourcesFormat: 'deb822' | 'one-line'
  readonly keyring: string
  /** Whether the keyring is the distribution's own, which the tree has too. */
  readonly keyringFrom: 'option' | 'recipe'
  readonly signatures: 'required' | 'ignored'
  readonly strategy: StrategyId
  readonly strategyReason: string
  readonly finishing: readonly FinishingItem[]
  readonly rootPassword: RootPassword
  readonly osRelease: {
    readonly id: string
    readonly codename: string | undefined
    readonly version: string | undefined
  }
}

/** Why a strategy cannot make this tree here, and what would change that. */
export interface Obstacle {
  readonly reason: string
  readonly hint?: string
}

/** What a strategy's judgement is made from: the plan before a strategy has been chosen. */
export type TreeDraft = Omit<TreePlan, 'strategy' | 'strategyReason'>

/** A strategy as far as planning needs it. */
export interface StrategyJudge {
  readonly id: StrategyId
  obstacle(draft: TreeDraft, host: BootstrapHost): Obstacle | undefined
}

/**
 * @param strategies in the recipe's order
 * @throws NspawnError `USAGE`, or `BOOTSTRAP_IMPOSSIBLE` when no strategy can work on this host
 */
export function planTree(
  request: TreeRequest,
  recipe: Recipe,
  host: BootstrapHost,
  strategies: readonly StrategyJudge[],
  machinesDirectory: string,
): TreePlan {
  const draft = draftTree(request, recipe, host, machinesDirectory)
  return { ...draft, ...chooseStrategy(request.via, draft, host, strategies) }
}

/** Everything but the strategy. */
export function draftTree(
  request: TreeRequest,
  recipe: Recipe,
  host: BootstrapHost,
  machinesDirectory: string,
): TreeDraft {
  const said = request.release ?? recipe.defaultRelease
  const known = recipe.releases.find((release) =>
    [release.codename, release.version, ...(release.aliases ?? [])].includes(said),
  )
  const release = known?.codename ?? plainWord('release', said)
  const architecture = readArchitecture(request.architecture, recipe, host)
  const execution = canExecute(host, architecture)
  const packageArchitecture = recipe.architectures[architecture]!
  if (execution === 'no') {
    throw new NspawnError(`programs of ${packageArchitecture} do not run on this host`, {
      code: 'BOOTSTRAP_IMPOSSIBLE',
      hint: 'install qemu-user-static and binfmt-support, so that the kernel hands them to an emulator',
    })
  }
  const set = packageSet(request.variant ?? 'minimal', recipe)
  const components = request.components ?? recipe.components
  for (const component of components) plainWord('component', component)
  const mirrors = chooseMirrors(request.mirror, recipe, host)
  const suites = request.updates === 'none' ? [] : (known?.extraSuites ?? [])
  const suffix = architecture === host.architecture ? '' : `-${packageArchitecture}`
  const name =
    request.name ??
    (request.directory === undefined
      ? `${recipe.id}-${release}${suffix}`
      : basename(request.directory))
  if (!isImageName(name)) throw usageError(`${JSON.stringify(name)} cannot be the name of an image`)
  return {
    recipe: recipe.id,
    name,
    destination: request.directory ?? join(machinesDirectory, name),
    existing: request.existing ?? 'keep',
    release,
    known,
    architecture,
    packageArchitecture,
    execution,
    variant: set.variant,
    include: [
      ...set.include,
      ...(request.include ?? []).map((word) => packageName('--include', word)),
    ],
    exclude: (request.exclude ?? []).map((word) => packageName('--exclude', word)),
    purpose: request.variant === 'boot' ? 'boot' : 'command',
    components,
    ...mirrors,
    extraSuites: extraSuites(suites, mirrors),
    keptSources: keptSources(release, suites, recipe, mirrors),
    sourcesFormat: known?.sourcesFormat ?? 'deb822',
    keyring: request.keyring === undefined ? recipe.keyring.path : keyringPath(request.keyring),
    keyringFrom: request.keyring === undefined ? 'recipe' : 'option',
    signatures: request.signatures ?? 'required',
    finishing: recipe.finishing,
    rootPassword: request.rootPassword ?? { kind: 'locked' },
    osRelease: {
      id: recipe.osRelease.id,
      codename: known === undefined ? undefined : (known.osCodename ?? known.codename),
      version: known?.version,
    },
  }
}

/** A short identity of what the plan makes, whatever it is called and wherever it lies. */
export function planHash(plan: TreePlan): string {
  const {
    name: _name,
    destination: _destination,
    existing: _existing,
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
      const ids = strategies.map(({ id }) => id).join(', ')
      throw usageError(`--via=${via} is no strategy of recipe ${draft.recipe}`, `there are: ${ids}`)
    }
    const obstacle = strategy.obstacle(draft, host)
    if (obstacle !== undefined)
      throw impossible(`${via} cannot make this tree: ${obstacle.reason}`, obstacle.hint)
    return { strategy: strategy.id, strategyReason: 'asked for with --via' }
  }
  const passed: string[] = []
  let hint: string | undefined
  for (const strategy of strategies) {
    const obstacle = strategy.obstacle(draft, host)
    if (obstacle === undefined) {
      const reason =
        passed.length === 0
          ? 'first choice of the recipe'
          : `next choice, since ${passed.join('; ')}`
      return { strategy: strategy.id, strategyReason: reason }
    }
    passed.push(`${strategy.id}: ${obstacle.reason}`)
    hint ??= obstacle.hint
  }
  throw impossible(`no strategy can make this tree on this host: ${passed.join('; ')}`, hint)
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
  const names = known.map(([, own]) => own).join(', ')
  throw usageError(
    `${recipe.title} has no architecture called ${JSON.stringify(wanted)}`,
    `there are: ${names}`,
  )
}

function packageSet(
  variant: string,
  recipe: Recipe,
): { variant: string; include: readonly string[] } {
  if (Object.hasOwn(recipe.packageSets, variant)) {
    return recipe.packageSets[variant as keyof typeof recipe.packageSets]
  }
  return { variant: plainWord('variant', variant), include: [] }
}

type Mirrors = Pick<TreePlan, 'mirror' | 'mirrorFrom' | 'securityMirror'>

/** `--mirror` wins; then what the host uses if it is of the same distribution; then the documented one. */
function chooseMirrors(option: string | undefined, recipe: Recipe, host: BootstrapHost): Mirrors {
  const names = recipe.releases.flatMap(({ codename, aliases }) => [codename, ...(aliases ?? [])])
  const own = host.osId === recipe.id ? hostMirrors(host.aptSources, names) : undefined
  const securityMirror = own?.security ?? recipe.mirrors.security
  if (option !== undefined)
    return { mirror: mirrorUrl(option), mirrorFrom: 'option', securityMirror }
  if (own?.main !== undefined) return { mirror: own.main, mirrorFrom: 'host', securityMirror }
  return { mirror: recipe.mirrors.main, mirrorFrom: 'recipe', securityMirror }
}

type Suites = NonNullable<Release['extraSuites']>

function extraSuites(suites: Suites, mirrors: Mirrors): { suite: string; mirror: string }[] {
  return suites.flatMap(({ suite, mirror }) => {
    const uri = mirror === 'main' ? mirrors.mirror : mirrors.securityMirror
    return uri === undefined ? [] : [{ suite, mirror: uri }]
  })
}

/** A mirror that only this host can see is replaced by the distribution's own. */
function keptSources(
  release: string,
  suites: Suites,
  recipe: Recipe,
  mirrors: Mirrors,
): { uri: string; suites: string[] }[] {
  const main = /^https?:/.test(mirrors.mirror) ? mirrors.mirror : recipe.mirrors.main
  const extra = extraSuites(suites, { ...mirrors, mirror: main })
  const beside = extra.filter(({ mirror }) => mirror === main).map(({ suite }) => suite)
  const elsewhere = extra.filter(({ mirror }) => mirror !== main)
  return [
    { uri: main, suites: [release, ...beside] },
    ...elsewhere.map(({ suite, mirror }) => ({ uri: mirror, suites: [suite] })),
  ]
}

/** Only schemes that the tools know; a path becomes a `file:` URL. */
function mirrorUrl(said: string): string {
  if (said.startsWith('/')) return `file://${said.replace(/\/+$/, '')}`
  if (!/^(https?:\/\/[^\s/]|file:\/\/\/|copy:\/\/\/)[^\s]*$/.test(said)) {
    throw usageError(
      `--mirror=${said} is no URL of an archive`,
      'use http://, https:// or the path of a local archive',
    )
  }
  return said.replace(/\/+$/, '')
}

/** apt's source lines divide words by blanks, and brackets end the options. */
function keyringPath(path: string): string {
  if (/^\/[^\s[\]"]+$/.test(path)) return path
  throw usageError(`--keyring=${path}: a keyring needs an absolute path without blanks or brackets`)
}

function plainWord(what: string, text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9.+_-]*(\/[A-Za-z0-9.+_-]+)?$/.test(text)) return text
  throw usageError(`${JSON.stringify(text)} cannot be a ${what}`)
}

/** Debian Policy §5.6.1; a first letter that is an option's dash would reach the tool as one. */
function packageName(option: string, text: string): string {
  if (/^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?$/.test(text) && !text.endsWith('-')) return text
  throw usageError(`${option}: ${JSON.stringify(text)} is no package name`)
}
