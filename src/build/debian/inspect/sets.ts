/** Which of the packages that a source makes can be installed together. Pure. */
import { acceptsVersion, parseRelations, type Target } from '../../../bootstrap/debian/relation.ts'
import { parseDeb822 } from '../../../bootstrap/debian/deb822.ts'
import type { PackageFacts } from '../../local-repository.ts'

export interface BuiltPackage {
  /** The name of its file. */
  readonly file: string
  readonly name: string
  readonly version: string
  readonly provides: readonly string[]
  /** Of Conflicts and Breaks. */
  readonly against: readonly Target[]
}

/** What a package says of itself. */
export function builtPackage(file: string, facts: PackageFacts): BuiltPackage {
  const { name, version, provides } = facts
  const [paragraph] = parseDeb822(facts.entry({ path: file, sizeBytes: 0, sha256: '' }), file)
  const against = ['Conflicts', 'Breaks']
    .flatMap((field) => parseRelations(paragraph?.folded(field), file))
    .map(([target]) => target)
  return { file, name, version, provides, against }
}

/** As few sets as it takes, the packages in their order: none is against another one of its set. */
export function compatibleSets(
  packages: readonly BuiltPackage[],
): readonly (readonly BuiltPackage[])[] {
  const sets: BuiltPackage[][] = []
  for (const one of packages) {
    const set = sets.find((others) => others.every((other) => !areOpposed(one, other)))
    if (set === undefined) sets.push([one])
    else set.push(one)
  }
  return sets
}

function areOpposed(one: BuiltPackage, other: BuiltPackage): boolean {
  return isAgainst(one, other) || isAgainst(other, one)
}

function isAgainst({ against }: BuiltPackage, other: BuiltPackage): boolean {
  return against.some(
    (target) =>
      (target.name === other.name && acceptsVersion(target, other.version)) ||
      (target.version === undefined && other.provides.includes(target.name)),
  )
}
