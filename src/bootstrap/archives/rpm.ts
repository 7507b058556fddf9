/** Where the packages of an rpm tree come from. */
import { usageError } from '../../errors.ts'
import type {
  Architecture,
  RpmDatabase,
  RpmKey,
  RpmRecipe,
  RpmRelease,
  RpmRepository,
} from '../../recipe.ts'
import type { TreeRequest } from '../plan.ts'
import { oneOf } from '../one-of.ts'
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
  /** Which of them are the distribution's. */
  readonly officialIds: readonly string[]
  /** Repositories that the tree keeps. */
  readonly keptRepositories: readonly PlannedRepository[]
  readonly metadataSigned: boolean
  /** File with the keys that may sign packages; default those of `keys` that this host has. */
  readonly keyring: string | undefined
  readonly keys: readonly RpmKey[]
  readonly database: RpmDatabase
  readonly modulePlatform: string | undefined
}

/** @throws NspawnError `USAGE` */
export function planRpmArchive(
  request: TreeRequest,
  recipe: RpmRecipe,
  { name: release, architecture }: { readonly name: string; readonly architecture: Architecture },
  known: RpmRelease | undefined,
): RpmArchive {
  if (request.components !== undefined)
    throw usageError(`--components= is not for recipe ${recipe.id}`, 'use --repo=ID=URL')
  const current = recipe.repositories.filter(
    ({ releases, role, sets, architectures }) =>
      (releases === undefined || releases.includes(known?.name ?? recipe.defaultRelease)) &&
      (architectures === undefined || architectures.includes(architecture)) &&
      (sets === undefined || sets.some((set) => set === request.variant)) &&
      (role === 'base' || request.updates !== 'none'),
  )
  const official = known === undefined ? ofUnknown(release, recipe, current) : current
  const mirror = request.mirror === undefined ? undefined : archiveUrl(request.mirror, '--mirror')
  const repositories =
    mirror === undefined ? official : official.map((repository) => below(mirror, repository))
  const own = (request.repositories ?? []).map(readRepository)
  const taken = own.find(({ id }) => repositories.some((one) => one.id === id))
  if (taken !== undefined)
    throw usageError(`--repo=${taken.id}: ${recipe.title} has a repository of that name itself`)
  return {
    family: 'rpm',
    mirror: mirror ?? official[0]!.source.url,
    mirrorFrom: mirror === undefined ? 'recipe' : 'option',
    repositories: [...own, ...repositories],
    officialIds: repositories.map(({ id }) => id),
    // What was the state on one day gets no updates; the tree goes on from there.
    keptRepositories:
      official === current && mirror !== undefined && /^https?:/.test(mirror)
        ? repositories
        : current,
    metadataSigned: recipe.metadataSigned,
    keyring: request.keyring,
    keys: (known?.keys ?? recipe.keys).map((key) => ofRelease(key, release)),
    database: known?.database ?? recipe.database,
    modulePlatform:
      recipe.modulePlatform === undefined ? undefined : `${recipe.modulePlatform}${release}`,
  }
}

/** Where a release lies that the recipe does not know: below its name if any do, or in the state of a day. */
function ofUnknown(
  release: string,
  recipe: RpmRecipe,
  current: readonly RpmRepository[],
): readonly RpmRepository[] {
  if (current.some(({ source }) => source.url.includes('$releasever'))) return current
  const days = /^\d{8}$/.test(release)
    ? current.flatMap(({ snapshot, ...repository }) =>
        snapshot === undefined
          ? []
          : [
              {
                ...repository,
                path: snapshot.path,
                source: { kind: 'baseurl' as const, url: snapshot.url },
              },
            ],
      )
    : []
  if (days.length > 0) return days
  const names = recipe.releases.map(({ name }) => name)
  const kept = current.some(({ snapshot }) => snapshot !== undefined)
  throw usageError(
    `${recipe.title} has no release called ${JSON.stringify(release)} for this architecture`,
    `${oneOf(release, names)}${kept ? ', or its state on a day, as 20240601' : ''}`,
  )
}

function ofRelease({ file, user }: RpmKey, release: string): RpmKey {
  const filled = (text: string) => text.replaceAll('$releasever', release)
  return { file: filled(file), ...(user === undefined ? {} : { user: filled(user) }) }
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
    source: { kind: 'baseurl', url: archiveUrl(match[2]!, '--repo') },
  }
}

/** apt alone knows of `copy:`. */
function archiveUrl(said: string, option: '--mirror' | '--repo'): string {
  return mirrorUrl(said, option).replace(/^copy:/, 'file:')
}
