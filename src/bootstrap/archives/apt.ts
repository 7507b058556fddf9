/** Where the packages of an apt tree come from, and which sources it keeps. */
import { usageError } from '../../errors.ts'
import type { AptRecipe, AptRelease } from '../../recipe.ts'
import { hostMirrors } from './apt-sources.ts'
import type { BootstrapHost } from '../host.ts'
import type { TreeRequest } from '../plan.ts'
import { mirrorUrl, plainWord, type MirrorOrigin } from './words.ts'

export interface AptArchive {
  readonly family: 'apt'
  readonly mirror: string
  readonly mirrorFrom: MirrorOrigin
  readonly components: readonly string[]
  readonly securityMirror: string | undefined
  /** Suites installed from beside the main one. */
  readonly extraSuites: readonly { readonly suite: string; readonly mirror: string }[]
  /** Sources that the tree keeps. */
  readonly keptSources: readonly { readonly uri: string; readonly suites: readonly string[] }[]
  readonly sourcesFormat: 'deb822' | 'one-line'
  readonly keyring: string
  /** Whether the keyring is the distribution's own, which the tree has too. */
  readonly keyringFrom: 'option' | 'recipe'
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
  host: BootstrapHost,
): AptArchive {
  if ((request.repositories ?? []).length > 0) {
    throw usageError(
      `--repo= is not for recipe ${recipe.id}`,
      'name another archive with --mirror, or parts of it with --components',
    )
  }
  const components = request.components ?? recipe.components
  for (const component of components) plainWord('component', component)
  const mirrors = chooseMirrors(request.mirror, recipe, host)
  const suites = request.updates === 'none' ? [] : (known?.extraSuites ?? [])
  return {
    family: 'apt',
    components,
    ...mirrors,
    extraSuites: extraSuites(suites, mirrors),
    keptSources: keptSources(release, suites, recipe, mirrors),
    sourcesFormat: known?.sourcesFormat ?? 'deb822',
    keyring: request.keyring === undefined ? recipe.keyring.path : keyringPath(request.keyring),
    keyringFrom: request.keyring === undefined ? 'recipe' : 'option',
  }
}

type Mirrors = Pick<AptArchive, 'mirror' | 'mirrorFrom' | 'securityMirror'>

/** `--mirror` wins; then what the host uses if it is of the same distribution; then the documented one. */
function chooseMirrors(
  option: string | undefined,
  recipe: AptRecipe,
  host: BootstrapHost,
): Mirrors {
  const names = recipe.releases.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])])
  const own = host.osId === recipe.id ? hostMirrors(host.aptSources, names) : undefined
  const securityMirror = own?.security ?? recipe.mirrors.security
  if (option !== undefined)
    return { mirror: mirrorUrl(option), mirrorFrom: 'option', securityMirror }
  if (own?.main !== undefined) return { mirror: own.main, mirrorFrom: 'host', securityMirror }
  return { mirror: recipe.mirrors.main, mirrorFrom: 'recipe', securityMirror }
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
  recipe: AptRecipe,
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

/** apt's source lines divide words by blanks, and brackets end the options. */
function keyringPath(path: string): string {
  if (/^\/[^\s[\]"]+$/.test(path)) return path
  throw usageError(`--keyring=${path}: a keyring needs an absolute path without blanks or brackets`)
}
