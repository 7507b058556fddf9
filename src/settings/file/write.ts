/**
 * Writing `.nspawn` files so that `settings-file.ts`, and systemd-nspawn, read back what was meant. What the format
 * cannot carry is refused, never bent.
 */
import { NspawnError } from '../../errors.ts'
import type { FileSection } from '../option.ts'
import { SETTINGS_FILE_MAX, shown } from './syntax.ts'

/** A line of its own each: the words are quoted where need be, a value stands as it is. */
export type FileSetting =
  | { readonly key: string; readonly value: string }
  | { readonly key: string; readonly words: readonly string[] }

/**
 * The text of a file, sections in the order given; those without settings are left out.
 *
 * @param comment one line, for people
 * @throws NspawnError `BAD_SETTING` for control characters, blanks around a value, and a file that would be too long
 * @see systemd.syntax(7)
 */
export function settingsFileText(
  comment: string,
  sections: readonly (readonly [FileSection, readonly FileSetting[]])[],
): string {
  const blocks = sections
    .filter(([, settings]) => settings.length > 0)
    .map(([section, settings]) => `[${section}]\n${settings.map(line).join('')}`)
  const text = [`# ${plain(comment, 'comment')}\n`, ...blocks].join('\n')
  if (Buffer.byteLength(text) <= SETTINGS_FILE_MAX) return text
  throw refused(`the settings take more than ${SETTINGS_FILE_MAX >> 10} KiB`)
}

function line(setting: FileSetting): string {
  const { key } = setting
  if ('words' in setting)
    return `${key}=${setting.words.map((word) => quoted(plain(word, key))).join(' ')}\n`
  const value = plain(setting.value, key)
  // Blanks at the ends are dropped when it is read, and a backslash at the end continues the line.
  if (value === '' || value !== value.trim() || value.endsWith('\\'))
    throw refused(`${key}=${shown(value)} cannot be written`)
  return `${key}=${value}\n`
}

/** No character is special within quotes but the one that ends them, so pieces with each kind are put together. */
function quoted(word: string): string {
  if (/^[\w@%+:=,./-]+$/.test(word)) return word
  if (!word.includes('"')) return `"${word}"`
  const pieces = word.match(/"+|[^"]+/g) ?? []
  return pieces.map((piece) => (piece.startsWith('"') ? `'${piece}'` : `"${piece}"`)).join('')
}

function plain(text: string, key: string): string {
  // oxlint-disable-next-line no-control-regex -- a tab is a blank, all others end lines or move terminals
  if (/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/.test(text))
    throw refused(`${key}=${shown(text)} has control characters in it`)
  if (Buffer.from(text).toString() === text) return text
  throw refused(`${key}=${shown(text)} is no text`)
}

function refused(message: string): NspawnError {
  return new NspawnError(message, { code: 'BAD_SETTING', operation: 'write settings file' })
}
