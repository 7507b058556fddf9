/** A value out of a short list of names, where systemd often takes a boolean for two of them. */
import { usageError } from '../../errors.ts'
import { nearest } from '../nearest.ts'
import { booleanWord } from './boolean.ts'

/**
 * The one of `names` that `text` is.
 *
 * @param booleans what `yes` and `no` stand for, where they stand for anything
 * @throws NspawnError (`USAGE`) with the accepted names
 */
export function parseChoice<Name extends string>(
  text: string,
  names: readonly Name[],
  booleans?: { readonly yes: Name; readonly no: Name },
): Name {
  const exact = names.find((name) => name === text)
  if (exact !== undefined) return exact
  const truth = booleans === undefined ? undefined : booleanWord(text)
  if (booleans !== undefined && truth !== undefined) return truth ? booleans.yes : booleans.no
  const guess = nearest(text, names)
  throw usageError(
    `"${text}" is not one of ${names.join(', ')}`,
    guess === undefined ? undefined : `did you mean ${guess}?`,
  )
}
