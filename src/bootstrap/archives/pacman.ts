/** Where the packages of a pacman tree come from. */
import { usageError } from '../../errors.ts'
import type { Architecture, PacmanRecipe } from '../../recipe.ts'
import type { TreeRequest } from '../plan.ts'
import { mirrorUrl, type MirrorOrigin } from './words.ts'

/** A repository as pacman.conf(5) has it. */
export interface PlannedPacmanRepository {
  readonly name: string
  readonly server: string
  /** Places that have the same, asked where the first fails. */
  readonly otherServers?: readonly string[]
}

export interface PacmanArchive {
  readonly family: 'pacman'
  /** With `$repo` and `$arch`. */
  readonly mirror: string
  readonly mirrorFrom: MirrorOrigin
  /** In the order of preference: those that the user named come first. */
  readonly repositories: readonly PlannedPacmanRepository[]
  /** Those of the user that the tree keeps: others cannot be reached from it. */
  readonly keptRepositories: readonly PlannedPacmanRepository[]
  /** The mirrors that the tree keeps. */
  readonly keptMirrors: readonly string[]
  /** Key file that packages must be signed by; default the distribution's keyring. */
  readonly keyring: string | undefined
  /** What pacman-key(8) calls them, and the package of hosts that brings them. */
  readonly distributionKeys: PacmanRecipe['keyring']
  /** A signed tar of a tree with pacman in it. */
  readonly image: string | undefined
}

/** @throws NspawnError `USAGE` */
export function planPacmanArchive(
  request: TreeRequest,
  recipe: PacmanRecipe,
  release: string,
  architecture: Architecture,
): PacmanArchive {
  refuseAptOptions(request, recipe.id)
  const official = officialMirror(recipe, release, architecture)
  const [mirror, ...otherServers] =
    request.mirror === undefined
      ? ([official] as const)
      : ([request.mirror, ...(request.otherMirrors ?? [])].map((said) =>
          withLayout(mirrorUrl(said).replace(/^copy:/, 'file:'), recipe),
        ) as [string, ...string[]])
  const reachable = [mirror, ...otherServers].filter((url) => /^https?:/.test(url))
  const own = (request.repositories ?? []).map((text) => readRepository(text, recipe))
  const twice = own.find(({ name }, index) => own.findIndex((one) => one.name === name) !== index)
  if (twice !== undefined)
    throw usageError(`--repo: there are two repositories called ${twice.name}`)
  return {
    family: 'pacman',
    mirror,
    mirrorFrom: request.mirror === undefined ? 'recipe' : 'option',
    repositories: [
      ...own,
      ...recipe.repositories.map((name) => ({ name, server: mirror, otherServers })),
    ],
    keptRepositories: own.filter(({ server }) => /^https?:/.test(server)),
    keptMirrors: reachable.length > 0 ? reachable : [official],
    keyring: request.keyring,
    distributionKeys: recipe.keyring,
    image: imageUrl(recipe, architecture, mirror),
  }
}

function officialMirror(recipe: PacmanRecipe, release: string, architecture: Architecture): string {
  if (release === recipe.defaultRelease)
    return withLayout(recipe.mirrors[architecture] ?? recipe.mirrors['default']!, recipe)
  const day = /^(\d{4})\/(\d{2})\/(\d{2})$/.exec(release)
  const time = day === null ? NaN : Date.parse(`${day[1]}-${day[2]}-${day[3]}`)
  if (recipe.snapshotMirror === undefined || Number.isNaN(time)) {
    throw usageError(
      `${recipe.title} has no release called ${JSON.stringify(release)}`,
      recipe.snapshotMirror === undefined
        ? `there is only ${recipe.defaultRelease}`
        : `there are ${recipe.defaultRelease}, and days such as 2026/11/01`,
    )
  }
  return withLayout(recipe.snapshotMirror.replace('$date', release), recipe)
}

/** A mirror's base, as users know it, gets pacman's own layout below it. */
function withLayout(url: string, { layout }: PacmanRecipe): string {
  return url.includes('$repo') ? url : `${url}/${layout}`
}

function imageUrl(
  { image, layout, architectures }: PacmanRecipe,
  architecture: Architecture,
  mirror: string,
): string | undefined {
  if (image === undefined) return undefined
  const base = mirror.endsWith(`/${layout}`) ? mirror.slice(0, -layout.length - 1) : undefined
  const own = image.onMirror !== undefined && base !== undefined && !isSnapshot(base)
  const url = own ? `${base}/${image.onMirror}` : image.url
  return url.replaceAll('$arch', architectures[architecture]!)
}

/** The archive of former days has packages only. */
function isSnapshot(base: string): boolean {
  return /\/\d{4}\/\d{2}\/\d{2}$/.test(base)
}

/** `NAME=URL`; pacman itself refuses a repository called `local`. */
function readRepository(text: string, recipe: PacmanRecipe): PlannedPacmanRepository {
  const match = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)$/.exec(text)
  const taken = ['local', 'options', ...recipe.repositories]
  if (match === null || taken.includes(match[1]!)) {
    throw usageError(
      `--repo=${text} is no repository`,
      `write NAME=URL; the name must not be ${taken.join(', ')}`,
    )
  }
  return { name: match[1]!, server: mirrorUrl(match[2]!, '--repo').replace(/^copy:/, 'file:') }
}

function refuseAptOptions(request: TreeRequest, recipe: string): void {
  if (request.components !== undefined)
    throw usageError(`--components= is not for recipe ${recipe}`, 'use --repo=NAME=URL')
  if (request.outdated === 'accepted')
    throw usageError(`indexes of recipe ${recipe} have no end: --no-check-valid-until`)
  if (request.updates === 'none')
    throw usageError(`recipe ${recipe} has no updates apart from its packages: --no-updates`)
}
