/** Tells in words what is different between two files that should be the same. Pure. */
import type { ArchiveMember, Listing } from './listing.ts'

const linesLimit = 200
const shownCharacters = 160

/** What differs between two archives; when their members are the same, only how they are packed. */
export function archiveDifferences(first: Listing, second: Listing): readonly string[] {
  const lines: string[] = []
  for (const [path, member] of first) {
    const other = second.get(path)
    if (other === undefined) lines.push(`${shown(path)}: only the first one has it`)
    else lines.push(...memberDifferences(member, other).map((line) => `${shown(path)}: ${line}`))
  }
  for (const path of second.keys())
    if (!first.has(path)) lines.push(`${shown(path)}: only the second one has it`)
  if (lines.length === 0) lines.push(packing(first, second))
  return lines.length > linesLimit
    ? [...lines.slice(0, linesLimit), `and ${lines.length - linesLimit} more`]
    : lines
}

/** The first line that differs, as the first one and as the second one has it. */
export function textDifference(first: string, second: string): readonly string[] {
  const [a, b] = [first.split('\n'), second.split('\n')]
  const at = a.findIndex((line, index) => line !== b[index])
  const index = at < 0 ? a.length : at
  const side = (mark: string, line: string | undefined) =>
    line === undefined ? `${mark} (its end)` : `${mark} ${shown(line)}`
  return [`line ${index + 1} differs`, side('-', a[index]), side('+', b[index])]
}

function memberDifferences(first: ArchiveMember, second: ArchiveMember): readonly string[] {
  const fields = ['kind', 'mode', 'owner', 'modified', 'link'] as const
  const lines = fields
    .filter((field) => first[field] !== second[field])
    .map((field) => `${field} ${shown(first[field])} and ${shown(second[field])}`)
  if (first.sha256 === second.sha256) return lines
  if (first.text !== undefined && second.text !== undefined)
    return [...lines, ...textDifference(first.text, second.text)]
  const sizes = [first, second].map(({ sizeBytes }) => sizeBytes)
  return [
    ...lines,
    sizes[0] === sizes[1]
      ? `other content of the same size, ${sizes[0]} bytes`
      : `other content, ${sizes[0]} and ${sizes[1]} bytes`,
  ]
}

function packing(first: Listing, second: Listing): string {
  const [a, b] = [first, second].map((one) => JSON.stringify([...one.keys()]))
  return a === b
    ? 'the members are the same, but they are compressed or framed otherwise'
    : 'the members are the same, but in another order'
}

/** What a hostile file says must not become commands of a terminal, nor fill it. */
function shown(text: string): string {
  // eslint-disable-next-line no-control-regex
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
  return plain.length > shownCharacters ? `${plain.slice(0, shownCharacters)}…` : plain
}
