/** An archive of packages as a plan knows it, one form for each family of package managers. */
import { usageError } from '../../errors.ts'
import type { Architecture, Recipe, Release } from '../../recipe.ts'
import type { BootstrapHost } from '../host.ts'
import type { TreeRequest } from '../plan.ts'
import { planAptArchive, type AptArchive } from './apt.ts'
import { planPacmanArchive, type PacmanArchive } from './pacman.ts'
import { planRpmArchive, type RpmArchive } from './rpm.ts'

export type Archive = AptArchive | PacmanArchive | RpmArchive

/** The archive that the trees of a recipe come from. */
export type ArchiveOf<R extends Recipe> = Extract<Archive, { readonly family: R['family'] }>

/** @throws NspawnError `USAGE` for options that the family does not have */
export function planArchive<R extends Recipe>(
  request: TreeRequest,
  recipe: R,
  release: { readonly name: string; readonly architecture: Architecture },
  host: BootstrapHost,
): ArchiveOf<R> {
  return planned(request, recipe, release, host) as ArchiveOf<R>
}

function planned(
  request: TreeRequest,
  recipe: Recipe,
  release: { readonly name: string; readonly architecture: Architecture },
  host: BootstrapHost,
): Archive {
  switch (recipe.family) {
    case 'apt': {
      const known = named(recipe.releases, release.name)
      return planAptArchive(request, recipe, release.name, known, release.architecture, host)
    }
    case 'pacman':
      return planPacmanArchive(request, recipe, release.name, release.architecture)
    case 'rpm':
      refuseAptOptions(request, recipe.id)
      return planRpmArchive(request, recipe, release, named(recipe.releases, release.name))
  }
}

function refuseAptOptions({ otherMirrors, outdated }: TreeRequest, recipe: string): void {
  if (otherMirrors !== undefined && otherMirrors.length > 0)
    throw usageError(`recipe ${recipe} takes one mirror`, 'give --mirror once')
  if (outdated === 'accepted')
    throw usageError(`--no-check-valid-until is not for recipe ${recipe}`)
}

function named<R extends Release>(releases: readonly R[], wanted: string): R | undefined {
  return releases.find(({ name }) => name === wanted)
}
