/**
 * Chooses the packages that a set of wanted ones needs, each in the one version that apt would take. Where
 * only one package will do it is taken first; where there is a choice the first one that leads to an end
 * is, so the answer is apt's own unless apt would have to change its mind.
 */
import { NspawnError } from '../../errors.ts'
import type { ArchivePackage } from './archive-package.ts'
import type { PackageIndex } from './package-index.ts'
import {
  acceptsVersion,
  showAlternatives,
  showTarget,
  type Alternatives,
  type Target,
} from './relation.ts'

export interface Wish {
  readonly package: ArchivePackage
  /** Who wants it, for messages (`--include`). */
  readonly by: string
}

export interface ResolveOptions {
  /** Chosen before, and there to stay. */
  readonly present?: readonly ArchivePackage[]
  /** Names that are to be left out. */
  readonly excluded?: ReadonlySet<string>
}

/** A relation that has to be met yet. */
interface Need {
  readonly owner: ArchivePackage
  readonly field: 'pre-depends on' | 'depends on'
  readonly alternatives: Alternatives
}

/** So many choices are tried before it is given up. */
const mostTries = 20_000

/**
 * @returns what is needed beside `present`, wishes included, in the order in which it was chosen
 * @throws NspawnError `BOOTSTRAP_PACKAGE`, saying what cannot be met, and who needs it
 */
export function resolvePackages(
  index: PackageIndex,
  wishes: readonly Wish[],
  options: ResolveOptions = {},
): readonly ArchivePackage[] {
  return new Resolver(index, options).run(wishes)
}

class Resolver {
  private readonly index: PackageIndex
  private readonly excluded: ReadonlySet<string>
  private readonly chosen = new Map<string, ArchivePackage>()
  /** Chosen packages by what they provide. */
  private readonly providing = new Map<string, ArchivePackage[]>()
  /** What chosen packages cannot be together with, by the name that they say. */
  private readonly refusals = new Map<string, { owner: ArchivePackage; target: Target }[]>()
  /** Who asked for a package first. */
  private readonly reasons = new Map<string, string>()
  private readonly trail: ArchivePackage[] = []
  private tries = 0

  constructor(index: PackageIndex, options: ResolveOptions) {
    this.index = index
    this.excluded = options.excluded ?? new Set()
    for (const one of options.present ?? []) this.take(one, 'in the tree already')
    this.trail.length = 0
  }

  run(wishes: readonly Wish[]): readonly ArchivePackage[] {
    const needs: Need[] = []
    for (const { package: one, by } of wishes) {
      if (this.chosen.has(one.name)) continue
      const obstacle = this.obstacle(one)
      if (obstacle !== undefined)
        throw this.failed(`cannot install ${one.name} (${by}): ${obstacle}`)
      this.take(one, by)
      needs.push(...needsOf(one))
    }
    const failure = this.search(needs)
    if (failure !== undefined) throw this.failed(failure)
    return this.trail
  }

  private failed(message: string): NspawnError {
    return new NspawnError(`the packages cannot be installed together: ${message}`, {
      code: 'BOOTSTRAP_PACKAGE',
      operation: 'resolve dependencies',
      hint: 'check --include and --exclude',
    })
  }

  /** @returns why there is no way, or undefined when all needs are met */
  private search(needs: readonly Need[]): string | undefined {
    const left = this.propagate(needs)
    if (typeof left === 'string') return left
    const [need, ...others] = left
    if (need === undefined) return undefined
    let failure: string | undefined
    for (const option of this.options(need)) {
      if (++this.tries > mostTries) return `gave up at ${this.show(need)}`
      const mark = this.trail.length
      this.take(option, need.owner.name)
      const why = this.search([...others, ...needsOf(option)])
      if (why === undefined) return undefined
      failure ??= why
      while (this.trail.length > mark) this.drop(this.trail.pop()!)
    }
    return failure
  }

  /** Takes what is the only choice, as long as there is such. @returns what is left to choose, or why not */
  private propagate(needs: readonly Need[]): readonly Need[] | string {
    let open = needs
    for (;;) {
      const left: Need[] = []
      let progress = false
      for (let at = 0, queue = [...open]; at < queue.length; at++) {
        const need = queue[at]!
        if (this.isMet(need)) continue
        const options = this.options(need)
        if (options.length > 1) {
          left.push(need)
          continue
        }
        const [only] = options
        if (only === undefined) return this.explain(need)
        this.take(only, need.owner.name)
        queue.push(...needsOf(only))
        progress = true
      }
      if (!progress) return left
      open = left
    }
  }

  private isMet({ alternatives }: Need): boolean {
    return alternatives.some((target) =>
      this.meeting(target).some((one) => this.index.isMet(target, one)),
    )
  }

  /** Chosen packages of that name, or that provide it. */
  private meeting({ name }: Target): readonly ArchivePackage[] {
    const own = this.chosen.get(name)
    return [...(own === undefined ? [] : [own]), ...(this.providing.get(name) ?? [])]
  }

  private options({ alternatives }: Need): readonly ArchivePackage[] {
    const found = new Set(alternatives.flatMap((target) => this.index.satisfying(target)))
    return [...found].filter((one) => this.obstacle(one) === undefined)
  }

  /** Why the package cannot be chosen now. */
  private obstacle(one: ArchivePackage): string | undefined {
    if (this.excluded.has(one.name)) return `${one.name} is to be left out`
    for (const target of one.conflicts.flat()) {
      const other = this.meeting(target).find(
        (chosen) => chosen !== one && this.refuses(target, chosen),
      )
      if (other !== undefined)
        return `${one.name} conflicts with ${showTarget(target)}, and ${this.showChosen(other)}`
    }
    for (const name of [one.name, ...one.provides.map((provided) => provided.name)]) {
      const found = this.refusals
        .get(name)
        ?.find(({ owner, target }) => owner !== one && this.refuses(target, one))
      if (found !== undefined)
        return `${this.showChosen(found.owner)}, which conflicts with ${showTarget(found.target)}`
    }
    return undefined
  }

  /** Whether a conflict means the package, by its name or by what it provides. */
  private refuses(target: Target, one: ArchivePackage): boolean {
    const { qualifier } = target
    if (qualifier !== undefined && qualifier !== 'any' && qualifier !== this.index.architecture)
      return false
    if (one.name === target.name) return acceptsVersion(target, one.version)
    return one.provides.some(
      ({ name, version }) =>
        name === target.name &&
        (target.operator === undefined ||
          (version !== undefined && acceptsVersion(target, version))),
    )
  }

  private showChosen({ name, version }: ArchivePackage): string {
    return `${name} ${version} is there (${this.reasons.get(name)})`
  }

  private show({ owner, field, alternatives }: Need): string {
    const way: string[] = []
    for (let name = owner.name; this.chosen.has(name); name = this.reasons.get(name)!) {
      if (way.includes(name)) break
      way.push(name)
    }
    const by = this.reasons.get(way.at(-1)!) ?? ''
    const needed = [...way.slice(1), by].join(', for ')
    return `${owner.name} (for ${needed}) ${field} ${showAlternatives(alternatives)}`
  }

  private explain(need: Need): string {
    const reasons = need.alternatives.map((target) => this.whyNot(target))
    return `${this.show(need)}, but ${reasons.join('; ')}`
  }

  private whyNot(target: Target): string {
    const usable = this.index.satisfying(target)
    const own = this.index.candidate(target.name)
    if (usable.length === 0) {
      return own === undefined
        ? `${target.name} is not in the archive`
        : `${target.name} is there as ${own.version}`
    }
    return usable.map((one) => this.obstacle(one) ?? `${one.name} would not help`).join('; ')
  }

  private take(one: ArchivePackage, by: string): void {
    this.chosen.set(one.name, one)
    this.reasons.set(one.name, by)
    this.trail.push(one)
    for (const { name } of one.provides) push(this.providing, name, one)
    for (const target of one.conflicts.flat())
      push(this.refusals, target.name, { owner: one, target })
  }

  private drop(one: ArchivePackage): void {
    this.chosen.delete(one.name)
    for (const { name } of one.provides) this.providing.get(name)!.pop()
    for (const target of one.conflicts.flat()) this.refusals.get(target.name)!.pop()
  }
}

function needsOf(owner: ArchivePackage): Need[] {
  return [
    ...owner.preDepends.map((alternatives) => ({
      owner,
      field: 'pre-depends on' as const,
      alternatives,
    })),
    ...owner.depends.map((alternatives) => ({ owner, field: 'depends on' as const, alternatives })),
  ]
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
