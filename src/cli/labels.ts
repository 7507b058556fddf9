/** Labelled lines below a title, as machinectl's status verbs print them. */

/** The colon behind each label stands here, as in machinectl's answer. */
const LABEL_WIDTH = 16

/** What stands before a line that has no label of its own. */
export const labelIndent = ' '.repeat(LABEL_WIDTH + 2)

/** An empty label goes on with the line above. */
export type LabelledLine = readonly [label: string, text: string]

export function formatLabels(lines: readonly LabelledLine[]): string[] {
  return lines.map(([label, text]) =>
    label === '' ? `${labelIndent}${text}` : `${label.padStart(LABEL_WIDTH)}: ${text}`,
  )
}

/** What a machine calls its processes and its system must not move the reader's cursor. */
export function printable(line: string): string {
  return line.replace(/\p{Cc}/gu, '?')
}
