/** Which of what a source asks for its build has not opened: pure, from what is installed and what was opened. */
import type { SourceOutline } from '../driver.ts'
import type { InstalledContents } from '../installers/installer.ts'
import { ownFiles } from './opened-packages.ts'

export interface UnopenedDependency {
  /** The installed package. */
  readonly name: string
  /** As the source asks for it. */
  readonly asked: string
  /** Packages that nothing else has brought in, and that were opened; sorted. */
  readonly opened: readonly string[]
}

export interface RootFacts {
  readonly contents: readonly InstalledContents[]
  /** Names of packages that are there without the source's asking. */
  readonly standing: ReadonlySet<string>
  /** Whether the build has opened a file of it. */
  readonly isOpened: (one: InstalledContents) => boolean
}

/** Judges each installed package that the source asks for; in the order in which it does. */
export function judgeDependencies(
  needs: SourceOutline['needs'],
  { contents, standing, isOpened }: RootFacts,
): readonly UnopenedDependency[] {
  const graph = new PackageGraph(contents)
  const asked = new Map<InstalledContents, string>()
  for (const alternatives of needs) {
    for (const name of alternatives) {
      const found = graph.find(name)
      if (found === undefined) continue
      if (!asked.has(found)) asked.set(found, name)
      break
    }
  }
  const judged: UnopenedDependency[] = []
  for (const [one, name] of asked) {
    if (isOpened(one)) continue
    const closure = graph.closure([one])
    // It is there for what it depends on.
    if (
      ownFiles(one).length === 0 &&
      [...closure].some((other) => other !== one && isOpened(other))
    )
      continue
    const others = graph.closure([...asked.keys()].filter((other) => other !== one))
    const opened = [...closure].filter(
      (other) => !others.has(other) && !standing.has(other.name) && isOpened(other),
    )
    judged.push({
      name: one.name,
      asked: name,
      opened: opened.map((other) => other.name).toSorted(),
    })
  }
  return judged
}

/** Packages whose files have to be known to judge these needs: what they ask for, and all that comes with it. */
export function packagesToLookAt(
  needs: SourceOutline['needs'],
  contents: readonly InstalledContents[],
): ReadonlySet<InstalledContents> {
  const graph = new PackageGraph(contents)
  const asked = needs.flatMap((alternatives) => {
    const found = alternatives.map((name) => graph.find(name)).find((one) => one !== undefined)
    return found === undefined ? [] : [found]
  })
  return graph.closure(asked)
}

class PackageGraph {
  private readonly names = new Map<string, InstalledContents>()
  private paths: Map<string, InstalledContents> | undefined
  private readonly contents: readonly InstalledContents[]

  constructor(contents: readonly InstalledContents[]) {
    this.contents = contents
    for (const one of contents)
      for (const name of one.provides) if (!this.names.has(name)) this.names.set(name, one)
    // The package of that name comes before those that stand for it.
    for (const one of contents) this.names.set(one.name, one)
  }

  /** By a package's name, what it provides, or the path of a file. */
  find(name: string): InstalledContents | undefined {
    return this.names.get(name) ?? (name.startsWith('/') ? this.owner(name) : undefined)
  }

  /** These, and all that they depend on. */
  closure(of: readonly InstalledContents[]): ReadonlySet<InstalledContents> {
    const found = new Set(of)
    // A set is walked to what was added meanwhile.
    for (const { depends } of found) {
      for (const alternatives of depends) {
        for (const name of alternatives) {
          const other = this.find(name)
          if (other !== undefined) found.add(other)
        }
      }
    }
    return found
  }

  private owner(path: string): InstalledContents | undefined {
    this.paths ??= new Map(
      this.contents.flatMap((one) => one.files.map((file) => [file, one] as const)),
    )
    return this.paths.get(path)
  }
}
