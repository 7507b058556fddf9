/**
 * The paragraph format of Debian's control files, indexes and configuration (deb-control(5),
 * deb822(5)): `Field: value` lines, continuation lines that begin with a blank, `#` comments, and
 * empty lines between paragraphs.
 */
import { NspawnError } from '../../errors.ts'

/** One paragraph; field names are matched without regard to case. */
export class Paragraph {
  private readonly fields = new Map<string, string>()

  /**
   * The value of a field: its first line and its continuation lines, each without the leading
   * blank, joined by newlines. `undefined` when the field is missing.
   */
  get(name: string): string | undefined {
    return this.fields.get(name.toLowerCase())
  }

  /** The value in one line: continuation lines are joined by blanks (dependencies, lists of words). */
  folded(name: string): string | undefined {
    return this.get(name)
      ?.split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .join(' ')
  }

  /** The names of all fields, in lower case. */
  names(): readonly string[] {
    return [...this.fields.keys()]
  }

  /** Sets a field that is not there yet; `false` when it is. */
  add(name: string, value: string): boolean {
    const key = name.toLowerCase()
    if (this.fields.has(key)) return false
    this.fields.set(key, value)
    return true
  }

  extend(name: string, line: string): void {
    const key = name.toLowerCase()
    this.fields.set(key, `${this.fields.get(key) ?? ''}\n${line}`)
  }

  get isEmpty(): boolean {
    return this.fields.size === 0
  }
}

/**
 * Reads all paragraphs of `text`.
 *
 * @param subject the file's name, for the error
 * @throws NspawnError `BAD_CONTROL` with file, line and the offending text
 */
export function parseDeb822(text: string, subject: string): readonly Paragraph[] {
  const paragraphs: Paragraph[] = []
  let current = new Paragraph()
  let field: string | undefined
  const fail = (why: string, number: number, line: string): never => {
    throw new NspawnError(`${why}: line ${number + 1}: ${line.slice(0, 80)}`, {
      code: 'BAD_CONTROL',
      operation: 'read control data',
      subject,
    })
  }
  for (const [number, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd()
    if (line.startsWith('#')) continue
    if (line === '') {
      if (!current.isEmpty) paragraphs.push(current)
      current = new Paragraph()
      field = undefined
      continue
    }
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (field === undefined) fail('a continuation line without a field', number, line)
      else current.extend(field, line.slice(1))
      continue
    }
    const colon = line.indexOf(':')
    field = colon < 0 ? undefined : line.slice(0, colon)
    if (field === undefined || !/^[!-9;-~]+$/.test(field)) fail('not a field', number, line)
    else if (!current.add(field, line.slice(colon + 1).trim()))
      fail('a field that is there twice', number, line)
  }
  if (!current.isEmpty) paragraphs.push(current)
  return paragraphs
}
