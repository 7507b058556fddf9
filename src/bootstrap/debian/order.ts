/** In which order packages go into a tree that has the essential ones: dpkg checks it, and does not choose it. */
import { NspawnError } from '../../errors.ts'
import type { ArchivePackage } from './archive-package.ts'
import type { PackageIndex } from './package-index.ts'
import type { Alternatives } from './relation.ts'

/** Packages by name, each after those that it needs, as far as they do not need each other. */
export function inOrder(
  packages: readonly ArchivePackage[],
  index: PackageIndex,
): readonly ArchivePackage[] {
  const ordered: ArchivePackage[] = []
  const begun = new Set<ArchivePackage>()
  const named = new Named(index, packages)
  const visit = (one: ArchivePackage): void => {
    if (begun.has(one)) return
    begun.add(one)
    for (const alternatives of [...one.preDepends, ...one.depends])
      for (const other of named.meeting(alternatives)) visit(other)
    ordered.push(one)
  }
  for (const one of packages.toSorted((a, b) => (a.name < b.name ? -1 : 1))) visit(one)
  return ordered
}

/** Those of the packages that are unpacked, and then configured, before the next ones. */
export type Batch = readonly ArchivePackage[]

/**
 * Divides packages so that what a package pre-depends on is configured before it is unpacked, Debian Policy
 * §7.2. Most sets are one batch.
 *
 * @param packages in order
 * @param configured what is in the tree already
 * @throws NspawnError `BOOTSTRAP_PACKAGE` when two packages have to be there before each other
 */
export function inBatches(
  packages: readonly ArchivePackage[],
  configured: readonly ArchivePackage[],
  index: PackageIndex,
): readonly Batch[] {
  const batches: Batch[] = []
  const there = new Named(index, configured)
  let before = configured
  let left = [...packages]
  while (left.length > 0) {
    let batch = left.filter((one) => there.meetsAll(one.preDepends))
    // What cannot be configured with the batch waits for the next one.
    for (let size = Infinity; batch.length < size;) {
      size = batch.length
      const among = new Named(index, [...before, ...batch])
      batch = batch.filter((one) => among.meetsAll(one.depends))
    }
    if (batch.length === 0) {
      throw new NspawnError('packages have to be configured before each other', {
        code: 'BOOTSTRAP_PACKAGE',
        operation: 'order packages',
        subject: left.map(({ name }) => name).join(', '),
      })
    }
    batches.push(batch)
    there.add(batch)
    before = [...before, ...batch]
    left = left.filter((one) => !batch.includes(one))
  }
  return batches
}

/** Packages by their names and by what they provide. */
class Named {
  private readonly byName = new Map<string, ArchivePackage[]>()
  private readonly index: PackageIndex

  constructor(index: PackageIndex, packages: readonly ArchivePackage[]) {
    this.index = index
    this.add(packages)
  }

  add(packages: readonly ArchivePackage[]): void {
    for (const one of packages) {
      for (const name of [one.name, ...one.provides.map((provided) => provided.name)]) {
        const others = this.byName.get(name)
        if (others === undefined) this.byName.set(name, [one])
        else others.push(one)
      }
    }
  }

  /** Those that are what one of the alternatives means. */
  meeting(alternatives: Alternatives): ArchivePackage[] {
    return alternatives.flatMap((target) =>
      (this.byName.get(target.name) ?? []).filter((one) => this.index.isMet(target, one)),
    )
  }

  meetsAll(relations: readonly Alternatives[]): boolean {
    return relations.every((alternatives) => this.meeting(alternatives).length > 0)
  }
}
