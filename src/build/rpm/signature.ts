/** Who vouches for a source package, by what `rpmkeys -K -v` says of it. */

export type SourceSignature =
  /** By a key that the tree's rpm knows. */
  | 'good'
  /** Something was changed, or the key is no longer to be trusted. */
  | 'bad'
  /** By a key that the tree's rpm does not know. */
  | 'unknown'
  | 'none'

/** @param lines a line for each signature and digest, that ends in a verdict */
export function sourceSignature(lines: readonly string[]): SourceSignature {
  const verdicts = lines
    .map((line) => /signature\b.*: (\w+)/i.exec(line)?.[1])
    .filter((verdict) => verdict !== undefined)
  if (verdicts.length === 0) return 'none'
  if (verdicts.some((verdict) => !['OK', 'NOKEY'].includes(verdict))) return 'bad'
  return verdicts.includes('OK') ? 'good' : 'unknown'
}

/** As a notice. */
export const signatureWords: Readonly<Record<Exclude<SourceSignature, 'bad'>, string>> = {
  good: 'the source package is signed with a key that the tree trusts',
  unknown:
    'nobody vouches for the source package: the tree does not have the key that has signed it',
  none: 'nobody vouches for the source package: it is not signed',
}
