/**
 * The lists of files in `.dsc`, `.changes` and Sources paragraphs. Their names come from outside and
 * become file names of ours, so only plain ones pass.
 */
import { NspawnError } from '../../errors.ts'
import type { Paragraph } from '../../bootstrap/debian/deb822.ts'

export interface ListedFile {
  readonly name: string
  readonly sizeBytes: number
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string
}

/**
 * The files of a paragraph, from its `Checksums-Sha256`.
 *
 * @param subject the file that the paragraph is from
 * @throws NspawnError `BAD_CONTROL` when the list is missing, broken, or has a name that is no plain
 *   file name, or when `Files` names others
 */
export function listedFiles(paragraph: Paragraph, subject: string): readonly ListedFile[] {
  const fail = (why: string): NspawnError =>
    new NspawnError(why, { code: 'BAD_CONTROL', operation: 'read list of files', subject })
  const list = paragraph.get('Checksums-Sha256')
  if (list === undefined) throw fail('there is no Checksums-Sha256 field')
  const files: ListedFile[] = []
  for (const line of rows(list)) {
    const [sha256, size, name, ...more] = line.split(/\s+/)
    if (sha256 === undefined || size === undefined || name === undefined || more.length > 0)
      throw fail(`not a file entry: ${line}`)
    if (!/^[0-9a-f]{64}$/i.test(sha256) || !/^\d{1,15}$/.test(size))
      throw fail(`not a file entry: ${line}`)
    if (!isPlainName(name)) throw fail(`not a plain file name: ${name}`)
    if (files.some((file) => file.name === name)) throw fail(`named twice: ${name}`)
    files.push({ name, sizeBytes: Number(size), sha256: sha256.toLowerCase() })
  }
  for (const line of rows(paragraph.get('Files') ?? '')) {
    const name = line.split(/\s+/).at(-1)
    if (!files.some((file) => file.name === name)) throw fail(`there is no sha256 for ${name}`)
  }
  return files
}

/** Whether `name` is one path component of the characters that Debian's file names are made of. */
export function isPlainName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9.+~:_%-]*$/.test(name) && name.length <= 255
}

function rows(list: string): string[] {
  return list
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
