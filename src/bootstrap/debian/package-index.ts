/**
 * All packages of some suites, for one architecture. Their paragraphs are kept as text and read when
 * somebody asks for one: of sixty thousand, a tree needs two hundred.
 */
import { NspawnError } from '../../errors.ts'
import { withoutSecrets } from '../../transfer/url.ts'
import { readArchivePackage, type ArchivePackage } from './archive-package.ts'
import { allOrNone } from './all-or-none.ts'
import { findIndex, readIndex, type IndexReading } from './index-stream.ts'
import type { Attempt } from './mirrors.ts'
import { acceptsVersion, type Target } from './relation.ts'
import type { SuiteRelease } from './release.ts'
import { compareVersions } from './version.ts'

interface Entry {
  readonly text: string
  /** Index of its suite. */
  readonly suite: number
  readonly position: number
}

/** apt_preferences(5), «default priority assignments». */
function pinOf({ fields }: SuiteRelease): number {
  if (fields.get('NotAutomatic') !== 'yes') return 500
  return fields.get('ButAutomaticUpgrades') === 'yes' ? 100 : 1
}

const priorities = ['required', 'important', 'standard', 'optional', 'extra']

/** How much a package is part of the system by its priority; 0 is most. */
function rank({ priority }: ArchivePackage): number {
  const found = priorities.indexOf(priority)
  return found < 0 ? priorities.length : found
}

export class PackageIndex {
  private readonly entries = new Map<string, Entry[]>()
  private readonly byProvided = new Map<string, Set<string>>()
  private readonly candidates = new Map<string, ArchivePackage | undefined>()
  /** What its first suite, the release itself, says to be essential or of a priority: name → priority. */
  private readonly essential = new Set<string>()
  private readonly prioritized = new Map<string, string>()
  private readonly suites: { readonly release: SuiteRelease; readonly pin: number }[] = []
  readonly architecture: string

  constructor(architecture: string) {
    this.architecture = architecture
  }

  /** @returns the number by which the suite's paragraphs are added */
  addSuite(release: SuiteRelease): number {
    return this.suites.push({ release, pin: pinOf(release) }) - 1
  }

  /** @param position place in the indexes, which come at the same time: the same in every run */
  add(text: string, suite: number, position: number): void {
    const name = /(?:^|\n)Package: *([^\s]+)/.exec(text)?.[1]
    if (name === undefined) return
    const entry: Entry = { text, suite, position }
    const before = this.entries.get(name)
    if (before === undefined) this.entries.set(name, [entry])
    else before.push(entry)
    const at = text.indexOf('\nProvides:')
    if (at >= 0) this.noteProvided(text.slice(at + 10), name)
    if (suite > 0) return
    if (text.includes('\nEssential: yes')) this.essential.add(name)
    const priority = /\nPriority: (required|important|standard)(?:\n|$)/.exec(text)?.[1]
    if (priority !== undefined) this.prioritized.set(name, priority)
  }

  private noteProvided(rest: string, name: string): void {
    const end = rest.search(/\n[^ \t]/)
    const list = end < 0 ? rest : rest.slice(0, end)
    for (const [, provided] of list.matchAll(/(?:^|,)\s*([a-z0-9][a-z0-9+.-]*)/g)) {
      const providers = this.byProvided.get(provided!)
      if (providers === undefined) this.byProvided.set(provided!, new Set([name]))
      else providers.add(name)
    }
  }

  /** Names of the packages that the release itself calls essential. */
  get essentialNames(): readonly string[] {
    return [...this.essential]
  }

  /** Names of the packages to which the release gives one of the priorities, without essential ones. */
  namesOfPriority(wanted: readonly string[]): readonly string[] {
    const named = [...this.prioritized].filter(([, priority]) => wanted.includes(priority))
    return named.map(([name]) => name).filter((name) => !this.essential.has(name))
  }

  get names(): Iterable<string> {
    return this.entries.keys()
  }

  /** The version of a package that apt would take; undefined when there is none for the architecture. */
  candidate(name: string): ArchivePackage | undefined {
    if (this.candidates.has(name)) return this.candidates.get(name)
    const best = this.choose(this.entries.get(name) ?? [])
    this.candidates.set(name, best)
    return best
  }

  private choose(entries: readonly Entry[]): ArchivePackage | undefined {
    let best: ArchivePackage | undefined
    let bestPin = 0
    for (const { text, suite } of entries) {
      const { release, pin } = this.suites[suite]!
      const found = readArchivePackage(text, { mirrors: release.mirrors, suite })
      if (found.architecture !== this.architecture && found.architecture !== 'all') continue
      const newer = best === undefined || compareVersions(found.version, best.version) > 0
      if (pin < bestPin || (pin === bestPin && !newer)) continue
      best = found
      bestPin = pin
    }
    return best
  }

  /**
   * The packages that would satisfy the target, in apt's order of preference: the one of that name, then
   * those that provide it, by their weight in the system.
   */
  satisfying(target: Target): readonly ArchivePackage[] {
    const own = this.candidate(target.name)
    const found = own !== undefined && this.isMet(target, own) ? [own] : []
    const providers = [...(this.byProvided.get(target.name) ?? [])]
      .map((name) => this.candidate(name))
      .filter((one) => one !== undefined && one !== own && this.isMet(target, one))
      .map((one) => one!)
      .toSorted(
        (a, b) =>
          Number(b.essential) - Number(a.essential) ||
          rank(a) - rank(b) ||
          this.position(a.name) - this.position(b.name),
      )
    return [...found, ...providers]
  }

  private position(name: string): number {
    return this.entries.get(name)?.[0]?.position ?? 0
  }

  /** Whether a package, by its name or by what it provides, is what the target means. */
  isMet(target: Target, by: ArchivePackage): boolean {
    const { qualifier } = target
    if (qualifier === 'any' && !by.allowed) return false
    if (qualifier !== undefined && qualifier !== 'any' && qualifier !== this.architecture)
      return false
    if (by.name === target.name) return acceptsVersion(target, by.version)
    return by.provides.some(
      (provided) =>
        provided.name === target.name &&
        // What is provided without a version satisfies no relation that asks for one.
        (target.operator === undefined ||
          (provided.version !== undefined && acceptsVersion(target, provided.version))),
    )
  }
}

export interface IndexSource {
  readonly release: SuiteRelease
  readonly components: readonly string[]
}

/**
 * Reads the indexes of all suites; the first one is the release itself.
 *
 * @throws NspawnError `BOOTSTRAP_SUITE` when a suite has no index, or the release lacks a component; what
 *   `readIndex()` throws
 */
export async function readPackageIndex(
  sources: readonly IndexSource[],
  architecture: string,
  options: Omit<IndexReading, 'patience'>,
): Promise<PackageIndex> {
  const asked = new Map<string, Attempt>()
  for (;;) {
    const index = new PackageIndex(architecture)
    if (await readInto(index, sources, options, asked)) return index
  }
}

/**
 * @param asked which mirror to take an index from, by the index's place; noted where one has failed
 * @returns whether all was read; what one broken mirror has told must not stay, so another index is begun then
 */
async function readInto(
  index: PackageIndex,
  sources: readonly IndexSource[],
  options: Omit<IndexReading, 'patience'>,
  asked: Map<string, Attempt>,
): Promise<boolean> {
  const { architecture } = index
  const wanted = sources.flatMap(({ release, components }) => {
    const suite = index.addSuite(release)
    const fail = (what: string, hint: string) =>
      new NspawnError(`${release.suite} has no ${what} for ${architecture}`, {
        code: 'BOOTSTRAP_SUITE',
        operation: 'find index',
        subject: withoutSecrets(release.directory),
        hint,
      })
    const found = components.map((component) => ({
      component,
      files: directories(release, architecture)
        .map((name) => `${component}/${name}/Packages`)
        .filter((path) => findIndex(release, path) !== undefined),
    }))
    if (found.every(({ files }) => files.length === 0))
      throw fail('index of packages', 'check --release, --mirror and --arch')
    // Suites beside the release need not have all of its components.
    const lacking = suite === 0 ? found.find(({ files }) => files.length === 0) : undefined
    if (lacking !== undefined) throw fail(`component ${lacking.component}`, 'check --components')
    return found.flatMap(({ files }) => files).map((path) => ({ suite, release, path }))
  })
  let whole = true
  await allOrNone(
    wanted.map(({ suite, release, path }, number) => async (signal) => {
      const place = `${suite}/${path}`
      const attempt = asked.get(place) ?? release.mirrors.first()
      const { base, patience } = attempt
      let position = number * most
      try {
        const file = findIndex(release, path, base)!
        for await (const pieces of readIndex(file, { ...options, signal, patience }))
          for (const piece of pieces) index.add(piece, suite, position++)
      } catch (error) {
        const next = release.mirrors.after(attempt, error)
        if (next === undefined) throw error
        asked.set(place, next)
        whole = false
      }
    }),
    options.signal,
  )
  return whole
}

/** More than an index has paragraphs. */
const most = 10_000_000

/** An archive may keep what fits every architecture apart, and then does not say otherwise. */
function directories({ fields }: SuiteRelease, architecture: string): string[] {
  const apart =
    fields.get('Architectures')?.split(/\s+/).includes('all') === true &&
    fields.get('No-Support-for-Architecture-all') !== 'Packages'
  return [`binary-${architecture}`, ...(apart ? ['binary-all'] : [])]
}
