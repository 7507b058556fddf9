/** What a server wants to know before it hands something out: the lines of `WWW-Authenticate`. */

export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** Names in lower case; of a name that comes twice the first one counts. */
  readonly parameters: ReadonlyMap<string, string>
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const parameter = new RegExp(`^(${token})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`)
const scheme = new RegExp(`^(${token})(?:[ \\t]+|$|(?=,))`)

/**
 * Reads a header; what is not understood ends it.
 *
 * @see RFC 9110, section 11.6.1
 */
export function parseChallenges(header: string): Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = []
  let rest = header.slice(0, 8192)
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '')
    const assignment = parameter.exec(rest)
    const current = found.at(-1)
    if (assignment !== null && current !== undefined) {
      const [whole, name = '', quoted, plain = ''] = assignment
      const key = name.toLowerCase()
      if (!current.parameters.has(key))
        current.parameters.set(key, quoted?.replaceAll(/\\(.)/g, '$1') ?? plain)
      rest = rest.slice(whole.length)
      continue
    }
    const begin = scheme.exec(rest)
    if (begin?.[1] === undefined) return found
    found.push({ scheme: begin[1].toLowerCase(), parameters: new Map() })
    rest = rest.slice(begin[0].length)
  }
}
