/** Debian version numbers: their parts and their order (deb-version(7)). */

export interface DebianVersion {
  readonly epoch: number
  readonly upstream: string
  /** Empty for native packages. */
  readonly revision: string
}

/** Takes a version apart; anything after the last hyphen is the revision. */
export function parseVersion(text: string): DebianVersion {
  const colon = text.indexOf(':')
  const epoch = colon < 0 ? 0 : Number(text.slice(0, colon))
  const rest = colon < 0 ? text : text.slice(colon + 1)
  const hyphen = rest.lastIndexOf('-')
  if (hyphen < 0) return { epoch, upstream: rest, revision: '' }
  return { epoch, upstream: rest.slice(0, hyphen), revision: rest.slice(hyphen + 1) }
}

/** The version as it stands in file names: without the epoch. */
export function fileVersion(text: string): string {
  return text.slice(text.indexOf(':') + 1)
}

/** Negative, zero or positive, as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a)
  const right = parseVersion(b)
  return (
    left.epoch - right.epoch ||
    compareParts(left.upstream, right.upstream) ||
    compareParts(left.revision, right.revision)
  )
}

// Runs of non-digits and of digits take turns; a tilde sorts before everything, even the end.
function compareParts(a: string, b: string): number {
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a[i])) || (j < b.length && !isDigit(b[j]))) {
      const difference = rank(a[i]) - rank(b[j])
      if (difference !== 0) return difference
      i++
      j++
    }
    const left = /^\d*/.exec(a.slice(i))?.[0] ?? ''
    const right = /^\d*/.exec(b.slice(j))?.[0] ?? ''
    i += left.length
    j += right.length
    const difference = BigInt(left || '0') - BigInt(right || '0')
    if (difference !== 0n) return difference < 0n ? -1 : 1
  }
  return 0
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= '0' && character <= '9'
}

function rank(character: string | undefined): number {
  if (character === '~') return -1
  if (character === undefined || isDigit(character)) return 0
  const code = character.charCodeAt(0)
  return /[A-Za-z]/.test(character) ? code : code + 256
}
