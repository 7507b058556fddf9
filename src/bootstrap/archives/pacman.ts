/** Where the packages of a pacman tree come from. */
import { usageError } from '../../errors.ts'
import type { Architecture, PacmanRecipe } from '../../recipe.ts'
import type { TreeRequest } from '../plan.ts'
import { mirrorUrl, type MirrorOrigin } from './words.ts'

export interface PacmanArchive {
  readonly family: 'pacman'
  /** With `$repo` and `$arch`. */
  readonly mirror: string
  readonly mirrorFrom: MirrorOrigin
  /** Each with its server, in the order of preference. */
  readonly repositories: readonly { readonly name: string; readonly server: string }[]
  /** The mirror that the tree keeps. */
  readonly keptMirror: string
  /** Key file that packages must be signed by; default the distribution's keyring. */
  readonly keyring: string | undefined
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
  const mirror = request.mirror === undefined ? official : template(mirrorUrl(request.mirror))
  const own = (request.repositories ?? []).map(readRepository)
  return {
    family: 'pacman',
    mirror,
    mirrorFrom: request.mirror === undefined ? 'recipe' : 'option',
    repositories: [...own, ...recipe.repositories.map((name) => ({ name, server: mirror }))],
    keptMirror: /^https?:/.test(mirror) ? mirror : official,
    keyring: request.keyring,
  }
}

function officialMirror(recipe: PacmanRecipe, release: string, architecture: Architecture): string {
  const mirror = recipe.mirrors[architecture] ?? recipe.mirrors['default']!
  if (!/^\d{4}\/\d{2}\/\d{2}$/.test(release)) return mirror
  if (recipe.snapshotMirror === undefined)
    throw usageError(`recipe ${recipe.id} has no archive of former days`)
  return recipe.snapshotMirror.replace('$date', release)
}

/** A mirror's base, as users know it, gets pacman's own layout below it. */
function template(url: string): string {
  return url.includes('$repo') ? url : `${url}/$repo/os/$arch`
}

/** `NAME=URL`; pacman itself refuses a repository called `local`. */
function readRepository(text: string): { name: string; server: string } {
  const match = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)$/.exec(text)
  if (match === null || match[1] === 'local' || match[1] === 'options') {
    throw usageError(
      `--repo=${text} is no repository`,
      'write NAME=URL; the name must not be local or options',
    )
  }
  return { name: match[1]!, server: mirrorUrl(match[2]!) }
}

function refuseAptOptions(request: TreeRequest, recipe: string): void {
  if (request.components !== undefined)
    throw usageError(`--components= is not for recipe ${recipe}`, 'use --repo=NAME=URL')
  if (request.updates === 'none')
    throw usageError(`recipe ${recipe} has no updates apart from its packages: --no-updates`)
}
