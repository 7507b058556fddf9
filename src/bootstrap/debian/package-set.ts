/** Which packages a tree is made of: what mmdebstrap would take for the same variant. */
import { NspawnError } from '../../errors.ts'
import { nearest } from '../../settings/nearest.ts'
import { bareName } from '../families/dpkg-status.ts'
import type { TreePlan } from '../plan.ts'
import type { ArchivePackage } from './archive-package.ts'
import type { PackageIndex } from './package-index.ts'
import { resolvePackages, type Wish } from './resolve.ts'

/** A variant's name → the priorities of what it has beyond the essential packages, mmdebstrap(1). */
const variants: Readonly<Record<string, readonly string[]>> = {
  essential: [],
  apt: [],
  required: ['required'],
  minbase: ['required'],
  buildd: ['required'],
  important: ['required', 'important'],
  debootstrap: ['required', 'important'],
  standard: ['required', 'important', 'standard'],
}

export const embeddedVariants: readonly string[] = Object.keys(variants)

export interface PackageSet {
  /** The essential packages and what they need: they must be unpacked before anything runs in the tree. */
  readonly essential: readonly ArchivePackage[]
  readonly others: readonly ArchivePackage[]
  /** Names of those that are there only because another one needs them, as apt keeps account of it. */
  readonly automatic: ReadonlySet<string>
}

/** What of a plan says which packages. */
export type SetRequest = Pick<TreePlan, 'variant' | 'include' | 'exclude' | 'packageArchitecture'>

/**
 * @throws NspawnError `BOOTSTRAP_PACKAGE` for a package that is not in the archive, or packages that
 *   cannot be together
 */
export function choosePackages(index: PackageIndex, request: SetRequest): PackageSet {
  const { variant } = request
  const excluded = new Set(request.exclude.map(bareName))
  const essential = resolvePackages(index, firstWishes(index, variant), { excluded })
  if (essential.length === 0) {
    throw new NspawnError('the archive has no essential packages', {
      code: 'BOOTSTRAP_PACKAGE',
      operation: 'choose packages',
      hint: 'is it a whole archive? check --mirror',
    })
  }
  const wishes = laterWishes(index, request, excluded)
  const others = resolvePackages(index, wishes, { present: essential, excluded })
  const asked = new Set(wishes.map(({ package: { name } }) => name))
  const automatic = others.filter(({ name }) => !asked.has(name)).map(({ name }) => name)
  return { essential, others, automatic: new Set(automatic) }
}

function firstWishes(index: PackageIndex, variant: string): Wish[] {
  const names = [...index.essentialNames, ...(variant === 'apt' ? ['apt'] : [])]
  return wishesOf(index, names, 'essential')
}

function laterWishes(
  index: PackageIndex,
  { variant, include, packageArchitecture }: SetRequest,
  excluded: ReadonlySet<string>,
): Wish[] {
  return [
    ...include.map((word) => included(index, word, packageArchitecture)),
    ...(variant === 'buildd' ? [buildEssential(index)] : []),
    ...wishesOf(
      index,
      index.namesOfPriority(variants[variant]!).filter((name) => !excluded.has(name)),
      `variant ${variant}`,
    ),
  ]
}

function buildEssential(index: PackageIndex): Wish {
  const found = index.candidate('build-essential')
  if (found !== undefined) return { package: found, by: 'variant buildd' }
  throw new NspawnError('variant buildd needs build-essential, which is not in the archive', {
    code: 'BOOTSTRAP_PACKAGE',
    operation: 'choose packages',
    subject: 'build-essential',
    hint: 'is it a whole archive? check --mirror, or take another variant',
  })
}

/** Those of the names that there is a package of for the architecture. */
function wishesOf(index: PackageIndex, names: readonly string[], by: string): Wish[] {
  return names
    .map((name) => index.candidate(name))
    .filter((one) => one !== undefined)
    .map((one) => ({ package: one, by }))
}

function included(index: PackageIndex, word: string, architecture: string): Wish {
  const by = '--include'
  const name = bareName(word)
  const unknown = (why: string, hint: string) =>
    new NspawnError(`cannot install ${word}: ${why}`, {
      code: 'BOOTSTRAP_PACKAGE',
      operation: 'choose packages',
      subject: word,
      hint,
    })
  const [, qualifier = architecture] = word.split(':')
  if (qualifier !== architecture)
    throw unknown(`the tree is for ${architecture} alone`, 'leave the architecture out')
  const own = index.candidate(name)
  if (own !== undefined) return { package: own, by }
  const providers = index.satisfying({
    name,
    qualifier: undefined,
    operator: undefined,
    version: undefined,
  })
  if (providers.length === 1) return { package: providers[0]!, by }
  if (providers.length > 1) {
    const names = providers.slice(0, 8).map((one) => one.name)
    throw unknown('it is a name for several packages', `choose one: ${names.join(', ')}`)
  }
  const similar = nearest(name, [...index.names])
  throw unknown(
    'it is not in the archive',
    similar === undefined ? 'check --include' : `did you mean ${similar}?`,
  )
}
