/** Where the packages of an rpm tree come from. */
import { usageError } from '../../errors.ts'
import type { RpmRecipe, RpmRepository } from '../../recipe.ts'
import type { TreeRequest } from '../plan.ts'
import { mirrorUrl, type MirrorOrigin } from './words.ts'

/** A repository as a `.repo` file has it; `$releasever` and `$basearch` are left to the tool. */
export interface PlannedRepository {
  readonly id: string
  readonly title: string
  readonly source: RpmRepository['source']
}

export interface RpmArchive {
  readonly family: 'rpm'
  /** Of the first repository. */
  readonly mirror: string
  readonly mirrorFrom: MirrorOrigin
  readonly repositories: readonly PlannedRepository[]
  /** Repositories that the tree keeps. */
  readonly keptRepositories: readonly PlannedRepository[]
  readonly metadataSigned: boolean
  /** Key file that packages must be signed by; default the first of `keys` that is found. */
  readonly keyring: string | undefined
  readonly keys: readonly string[]
  readonly database: RpmRecipe['database']
  readonly modulePlatform: string | undefined
}

/** @throws NspawnError `USAGE` */
export function planRpmArchive(
  request: TreeRequest,
  recipe: RpmRecipe,
  release: string,
): RpmArchive {
  if (request.components !== undefined)
    throw usageError(`--components= is not for recipe ${recipe.id}`, 'use --repo=ID=URL')
  const official = recipe.repositories.filter(
    ({ releases, role }) =>
      (releases === undefined || releases.includes(release)) &&
      (role === 'base' || request.updates !== 'none'),
  )
  const mirror = request.mirror === undefined ? undefined : mirrorUrl(request.mirror)
  const repositories =
    mirror === undefined ? official : official.map((repository) => below(mirror, repository))
  const own = (request.repositories ?? []).map(readRepository)
  return {
    family: 'rpm',
    mirror: mirror ?? official[0]!.source.url,
    mirrorFrom: mirror === undefined ? 'recipe' : 'option',
    repositories: [...own, ...repositories],
    keptRepositories: mirror !== undefined && /^https?:/.test(mirror) ? repositories : official,
    metadataSigned: recipe.metadataSigned,
    keyring: request.keyring,
    keys: recipe.keys.map((name) => name.replaceAll('$releasever', release)),
    database: recipe.database,
    modulePlatform:
      recipe.modulePlatform === undefined ? undefined : `${recipe.modulePlatform}${release}`,
  }
}

function below(mirror: string, { path, ...repository }: RpmRepository): RpmRepository {
  return { ...repository, path, source: { kind: 'baseurl', url: `${mirror}/${path}` } }
}

/** `ID=URL`, the URL of a directory that has `repodata/`. */
function readRepository(text: string): PlannedRepository {
  const match = /^([A-Za-z0-9][A-Za-z0-9._:-]*)=(.+)$/.exec(text)
  if (match === null || match[1] === 'main')
    throw usageError(`--repo=${text} is no repository`, 'write ID=URL; main is no such ID')
  return {
    id: match[1]!,
    title: match[1]!,
    source: { kind: 'baseurl', url: mirrorUrl(match[2]!) },
  }
}
