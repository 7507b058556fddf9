/** Where the packages of an apt tree come from, and which sources it keeps. */
import { usageError } from '../../errors.ts'
import type { AptMirrors, AptRecipe, AptRelease, Architecture } from '../../recipe.ts'
import { hostMirrors } from './apt-sources.ts'
import type { BootstrapHost } from '../host.ts'
import type { TreeRequest } from '../plan.ts'
import { readAptRepository, type AptRepository } from './apt-repository.ts'
import { mirrorUrl, plainWord, type MirrorOrigin } from './words.ts'

export interface AptArchive {
  readonly family: 'apt'
  readonly mirror: string
  readonly mirrorFrom: MirrorOrigin
  /** Places that have the same archive, asked where the mirror fails. */
  readonly otherMirrors: readonly string[]
  readonly components: readonly string[]
  readonly securityMirror: string | undefined
  /** Suites installed from beside the main one. */
  readonly extraSuites: readonly { readonly suite: string; readonly mirror: string }[]
  /** Archives of others, installed from and kept. */
  readonly repositories: readonly AptRepository[]
  /** Whether an index past its `Valid-Until` counts. */
  readonly outdated: 'refused' | 'accepted'
  /** Sources that the tree keeps. */
  readonly keptSources: readonly { readonly uri: string; readonly suites: readonly string[] }[]
  readonly sourcesFormat: 'deb822' | 'one-line'
  readonly keyring: string
  /** Whether the keyring is the distribution's own, which the tree has too. */
  readonly keyringFrom: 'option' | 'recipe'
  /** The package that brings it to a host. */
  readonly keyringPackage: string
}

/**
 * @param release the suite
 * @param known what the recipe knows about it
 * @throws NspawnError `USAGE`
 */
export function planAptArchive(
  request: TreeRequest,
  recipe: AptRecipe,
  release: string,
  known: AptRelease | undefined,
  architecture: Architecture,
  host: BootstrapHost,
): AptArchive {
  const components = request.components ?? recipe.components
  for (const component of components) plainWord('component', component)
  const mirrors = chooseMirrors(request.mirror, recipe, architecture, host)
  const suites = request.updates === 'none' ? [] : (known?.extraSuites ?? [])
  return {
    family: 'apt',
    components,
    ...mirrors,
    otherMirrors: (request.otherMirrors ?? []).map((said) => mirrorUrl(said)),
    extraSuites: extraSuites(suites, mirrors),
    repositories: (request.repositories ?? []).map((text) =>
      readAptRepository(text, { suite: release, components }),
    ),
    outdated: request.outdated ?? 'refused',
    keptSources: keptSources(release, suites, officialMirrors(recipe, architecture).main, mirrors),
    sourcesFormat: known?.sourcesFormat ?? 'deb822',
    keyring: request.keyring === undefined ? recipe.keyring.path : keyringPath(request.keyring),
    keyringFrom: request.keyring === undefined ? 'recipe' : 'option',
    keyringPackage: recipe.keyring.hostPackage,
  }
}

type Mirrors = Pick<AptArchive, 'mirror' | 'mirrorFrom' | 'securityMirror'>

/** `--mirror` wins; then what the host uses if it is of the same distribution; then the documented one. */
function chooseMirrors(
  option: string | undefined,
  recipe: AptRecipe,
  architecture: Architecture,
  host: BootstrapHost,
): Mirrors {
  const official = officialMirrors(recipe, architecture)
  const names = recipe.releases.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])])
  // A host of another architecture may be served by another mirror.
  const shared = official === officialMirrors(recipe, host.architecture)
  const same = host.osId === recipe.osRelease.id && recipe.mirrorsOf !== 'recipe'
  const own = same && shared ? hostMirrors(host.aptSources, names) : undefined
  const securityMirror = own?.security ?? official.security
  if (option !== undefined)
    return { mirror: mirrorUrl(option), mirrorFrom: 'option', securityMirror }
  if (own?.main !== undefined) return { mirror: own.main, mirrorFrom: 'host', securityMirror }
  return { mirror: official.main, mirrorFrom: 'recipe', securityMirror }
}

function officialMirrors(
  { mirrors, portsMirrors }: AptRecipe,
  architecture: Architecture | undefined,
): AptMirrors {
  const ported = architecture !== undefined && portsMirrors?.architectures.includes(architecture)
  return ported === true ? portsMirrors! : mirrors
}

type Suites = NonNullable<AptRelease['extraSuites']>

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
  official: string,
  mirrors: Mirrors,
): { uri: string; suites: string[] }[] {
  const main = /^https?:/.test(mirrors.mirror) ? mirrors.mirror : official
  const extra = extraSuites(suites, { ...mirrors, mirror: main })
  const beside = extra.filter(({ mirror }) => mirror === main).map(({ suite }) => suite)
  const elsewhere = extra.filter(({ mirror }) => mirror !== main)
  return [
    { uri: main, suites: [release, ...beside] },
    ...elsewhere.map(({ suite, mirror }) => ({ uri: mirror, suites: [suite] })),
  ]
}

/** apt's source lines divide words by blanks, and brackets end the options. */
function keyringPath(path: string): string {
  if (/^\/[^\s[\]"]+$/.test(path)) return path
  throw usageError(`--keyring=${path}: a keyring needs an absolute path without blanks or brackets`)
}
