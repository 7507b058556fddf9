/** Values of settings files that are lists of words. */
import { usageError } from '../../errors.ts'

const BLANK = /[ \t\n\r]/

/** The words between blanks, quotes and all. */
export function plainWords(text: string): readonly string[] {
  return text.split(/[ \t\n\r]+/).filter((word) => word !== '')
}

/**
 * The words between blanks; quotes of both kinds keep blanks together and are dropped. A backslash is an
 * ordinary character, also before a quote.
 *
 * @returns the words, and whether a quote was open at the end: the word it stands in is left out
 */
export function quotedWords(text: string): {
  readonly words: readonly string[]
  readonly open: boolean
} {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (const character of text) {
    if (quote !== '') {
      if (character === quote) quote = ''
      else word = `${word ?? ''}${character}`
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ''
    } else if (BLANK.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = `${word ?? ''}${character}`
  }
  if (word !== undefined && quote === '') words.push(word)
  return { words, open: quote !== '' }
}

/**
 * `NAME=VALUE` with any name, as files may say it; a name alone would mean the caller's variable, and is refused.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseFileAssignment(word: string): { name: string; value: string } {
  const at = word.indexOf('=')
  if (at < 1) throw usageError(`"${word}" is not written NAME=VALUE`)
  return { name: word.slice(0, at), value: word.slice(at + 1) }
}
