/** From files that were opened to the packages that they are of: pure. */
import { dirname } from 'node:path'
import type { InstalledContents } from '../installers/installer.ts'

/** Whether one of its files was opened under the name that the package has for it. */
export function isOpenedDirectly(
  { files }: InstalledContents,
  opened: ReadonlySet<string>,
): boolean {
  // Debian's packages name files in /bin that have moved to /usr/bin.
  return files.some((path) => opened.has(path) || opened.has(`/usr${path}`))
}

/** What a build could open it for: no directories, and no documentation. */
export function ownFiles({ files }: Pick<InstalledContents, 'files'>): readonly string[] {
  const directories = new Set(['/.', ...files.map((path) => dirname(path))])
  return files.filter(
    (path) => !directories.has(path) && !isDocumentation(path) && !path.includes('\n'),
  )
}

function isDocumentation(path: string): boolean {
  return /^\/usr\/share\/(doc|man|info|licenses|lintian|locale|bug)(\/|$)/.test(path)
}

export interface RealPaths {
  /** Path as packages have it → without links. */
  readonly real: ReadonlyMap<string, string>
  /** What was opened, without links. */
  readonly paths: ReadonlySet<string>
  /** All that may own what a link leads to. */
  readonly packages: readonly InstalledContents[]
}

/**
 * Those of which a file was opened under another name. A link to a file of another package counts too, as those of
 * `gcc` do, but not a library's name for the linker: `libz.so` would count whenever the library is loaded.
 */
export function openedThroughLinks(
  packages: readonly InstalledContents[],
  { real, paths, packages: all }: RealPaths,
): readonly InstalledContents[] {
  const owners = new Map<string, InstalledContents>()
  for (const one of all) {
    for (const path of one.files) {
      owners.set(path, one)
      owners.set(`/usr${path}`, one)
    }
  }
  const at = (path: string) => real.get(path) ?? path
  return packages.filter((one) => {
    return ownFiles(one).some((path) => {
      const target = at(path)
      if (!paths.has(target)) return false
      const owner = owners.get(target)
      return owner === undefined || owner === one || !path.endsWith('.so')
    })
  })
}
