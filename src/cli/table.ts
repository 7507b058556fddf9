/** Tables as systemd's tools print them: columns apart by one blank, no lines, numbers to the right. */

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** The rows below their titles; cells of a column are as wide as its widest. No blank ends a line. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => line[index]?.length ?? 0)),
  )
  return lines
    .map((line) =>
      columns
        .map(({ align }, index) => {
          const cell = line[index] ?? ''
          return align === 'right' ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)
        })
        .join(' ')
        .trimEnd(),
    )
    .join('\n')
}
