/** Another archive that a tree is made from too, as users name it: a line of sources.list(5), or a URL alone. */
import { usageError } from '../../errors.ts'
import { mirrorUrl, plainWord } from './words.ts'

export interface AptRepository {
  readonly uri: string
  readonly suite: string
  /** None for a flat archive, whose suite is a directory with a slash at its end. */
  readonly components: readonly string[]
  readonly trust:
    | { readonly kind: 'keyring'; readonly path: string }
    /** The keys that the main archive is checked with. */
    | { readonly kind: 'archive' }
    | { readonly kind: 'nobody' }
}

/**
 * Reads `deb [signed-by=FILE] URL SUITE COMPONENT…`, or a URL, whose suite and components are those of the tree.
 *
 * @throws NspawnError `USAGE`
 */
export function readAptRepository(
  text: string,
  tree: Pick<AptRepository, 'suite' | 'components'>,
): AptRepository {
  const words = text.trim().split(/\s+/)
  if (words.length === 1 && words[0] !== 'deb')
    return { uri: mirrorUrl(words[0]!, '--repo'), ...tree, trust: { kind: 'archive' } }
  const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+\S+)*)$/.exec(text.trim())
  if (match === null) {
    throw usageError(
      `--repo=${text} is no repository`,
      'write a URL, or "deb [signed-by=/FILE] URL SUITE COMPONENT"',
    )
  }
  const [, options = '', uri, suite, rest] = match
  const components = rest!.split(/\s+/).filter((word) => word !== '')
  for (const component of components) plainWord('component', component)
  const flat = suite!.endsWith('/')
  if (!flat) plainWord('suite', suite!)
  if (flat !== (components.length === 0)) {
    throw usageError(
      flat
        ? `--repo=${text}: a suite that ends with a slash has no components`
        : `--repo=${text}: which components of ${suite}?`,
    )
  }
  return {
    uri: mirrorUrl(uri!, '--repo'),
    suite: suite!,
    components,
    trust: trustOf(options, text),
  }
}

function trustOf(options: string, text: string): AptRepository['trust'] {
  let trust: AptRepository['trust'] = { kind: 'archive' }
  for (const option of options.split(/\s+/).filter((word) => word !== '')) {
    const [name, value = ''] = option.split('=')
    if (name === 'signed-by' && /^\/[^\s[\]",]+$/.test(value))
      trust = { kind: 'keyring', path: value }
    else if (name === 'trusted' && value === 'yes') trust = { kind: 'nobody' }
    else {
      throw usageError(
        `--repo=${text}: the option ${option} is not understood`,
        'signed-by= with the absolute path of a keyring, and trusted=yes are',
      )
    }
  }
  return trust
}
