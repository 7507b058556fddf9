/**
 * Which of two versions is newer, for partitions of one type that hold versions of one system.
 *
 * @see UAPI.10, "Version Format Specification"
 */

/** Ranks of what can stand at one place; an end ranks between `~` and everything else. */
const signs = ['~', '', '-', '^', '.'] as const

/** Negative where `a` is older than `b`, 0 where they are equal. */
export function compareVersions(a: string, b: string): number {
  let [x, y] = [clean(a), clean(b)]
  for (;;) {
    x = x.replace(/^[^a-zA-Z0-9~^.-]+/, '')
    y = y.replace(/^[^a-zA-Z0-9~^.-]+/, '')
    if (x === '' && y === '') return 0
    const sign = signs.find((one) => startsWith(x, one) || startsWith(y, one))
    if (sign !== undefined) {
      const [inX, inY] = [startsWith(x, sign), startsWith(y, sign)]
      if (!inX || !inY) return inX ? -1 : 1
      x = x.slice(sign.length)
      y = y.slice(sign.length)
      continue
    }
    const isNumber = /^\d/.test(x) || /^\d/.test(y)
    const part = isNumber ? /^\d*/ : /^[a-zA-Z]*/
    const [p, q] = [part.exec(x)?.[0] ?? '', part.exec(y)?.[0] ?? '']
    const order = isNumber ? compareNumbers(p, q) : compareWords(p, q)
    if (order !== 0) return order
    x = x.slice(p.length)
    y = y.slice(q.length)
  }
}

/** The empty sign is the end of the text. */
function startsWith(text: string, sign: string): boolean {
  return sign === '' ? text === '' : text.startsWith(sign)
}

/** Characters beyond ASCII have no part in it. */
function clean(text: string): string {
  return text.replaceAll(/[^ -~]/g, '')
}

/** A missing number is older than every number. */
function compareNumbers(a: string, b: string): number {
  if (a === '' || b === '') return a.length - b.length
  const [p, q] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')]
  if (p.length !== q.length) return p.length - q.length
  return compareWords(p, q)
}

/** Capitals come first, as their codes do. */
function compareWords(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
