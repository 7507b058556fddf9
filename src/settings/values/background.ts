/** Values of `--background=`: parameters of the control sequence that sets colours (ECMA-48, SGR). */
import { usageError } from '../../errors.ts'

const longest = 32
const number = String.raw`0*(?:25[0-5]|2[0-4]\d|1?\d{1,2})`
const colour = [
  String.raw`4[0-79]|10[0-7]`,
  ...[';', ':'].flatMap((by) => [
    `48${by}5${by}${number}`,
    `48${by}2${by}${number}${by}${number}${by}${number}`,
  ]),
  // With a colour space, which nobody fills in.
  String.raw`48:2:\d*:${number}:${number}:${number}`,
]
const background = new RegExp(`^(?:${colour.join('|')})$`)

/** @throws NspawnError (`USAGE`) for anything that is not one background colour */
export function parseBackground(text: string): string {
  if (text.length <= longest && background.test(text)) return text
  throw usageError(
    `"${text}" is not an ANSI background colour`,
    'write 40 to 47, 100 to 107, 48;5;NUMBER or 48;2;RED;GREEN;BLUE',
  )
}
