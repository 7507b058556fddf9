/** The text of `--help`, made from the table. */
import { optionName, sections, type Option } from './option.ts'
import { options } from './table.ts'

const indent = 32
const width = 80

/** All options of this version by section, aligned and wrapped to 80 columns, with a final newline. */
export function helpText(): string {
  const lines = [
    'tsnspawn [OPTIONS...] [COMMAND [ARGUMENTS...]]',
    '',
    'Run a program in a light-weight container.',
  ]
  for (const section of sections) {
    const rows = options.filter(
      (option) =>
        option.section === section && option.read !== undefined && option.hidden === undefined,
    )
    if (rows.length === 0) continue
    lines.push('', `${section}:`, ...rows.flatMap(optionLines))
  }
  return `${lines.join('\n')}\n`
}

/** The option as it is written, with its placeholder: `-D --directory=PATH`. */
export function synopsis(option: Option): string {
  const short = option.short === undefined ? '  ' : `-${option.short}`
  if (option.name === undefined) return short
  const value =
    option.value === 'required'
      ? option.placeholder
      : option.value === 'optional'
        ? `[=${option.placeholder}]`
        : ''
  return `${short} ${optionName(option)}${value}`
}

function optionLines(option: Option): string[] {
  const left = `  ${synopsis(option)}`
  const wrapped = wrap(option.help, width - indent)
  const padding = ' '.repeat(indent)
  const [first = '', ...others] = wrapped
  const begin = left.length < indent ? [left.padEnd(indent) + first] : [left, padding + first]
  return [...begin, ...others.map((line) => padding + line)]
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
