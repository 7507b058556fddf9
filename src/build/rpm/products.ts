/**
 * What a spec makes, as far as can be known before it is built: its packages, what they provide by their own words,
 * and what rpm will find out from files that the spec names.
 */
import { specMark } from './spec-facts.ts'

/** A query format for the packages of a spec. */
export const productsFormat = 'makes %{NAME}\\n[makes %{PROVIDENAME}\\n]' as const

/** Files by which rpm's own generators give a package other names. */
const generated: readonly (readonly [RegExp, (name: string) => string])[] = [
  [/\/pkgconfig\/([^/*?[\]{}]+)\.pc$/, (name) => `pkgconfig(${name})`],
  [/\/cmake\/([^/*?[\]{}]+)(?:\/.*)?$/, (name) => `cmake(${name})`],
]

/**
 * Reads what `rpmspec -q` with `productsFormat`, the mark, and `rpmspec -P` have printed.
 *
 * @returns names, sorted
 */
export function parseProducts(lines: readonly string[]): readonly string[] {
  const mark = lines.indexOf(specMark)
  const said = lines.slice(0, mark).flatMap((line) => /^makes (\S+)$/.exec(line)?.[1] ?? [])
  const files = filesOf(lines.slice(mark + 1))
  const found = files.flatMap((path) =>
    generated.flatMap(([pattern, name]) => {
      const match = pattern.exec(path)?.[1]
      return match === undefined ? [] : [name(match)]
    }),
  )
  return [...new Set([...said, ...files, ...found])].toSorted()
}

/** Absolute paths in the lists of files, those with wildcards too. */
function filesOf(spec: readonly string[]): readonly string[] {
  const files: string[] = []
  let listing = false
  for (const line of spec) {
    if (/^%files\b/.test(line)) listing = true
    else if (
      /^%(description|package|prep|build|install|check|clean|changelog|post|pre|trigger)/.test(line)
    )
      listing = false
    else if (listing) {
      const path = line.split(/\s+/).at(-1) ?? ''
      if (path.startsWith('/') && !/^\s*(#|%exclude)/.test(line)) files.push(path)
    }
  }
  return files
}
