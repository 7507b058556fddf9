/** Image references, as people write them: `[REGISTRY/]IMAGE[:TAG][@DIGEST]`. */
import { NspawnError, usageError } from '../../errors.ts'
import { parseDigest, type Digest } from './digest.ts'

export interface ImageReference {
  /** `HOST[:PORT]`; undefined when the reference names none. */
  readonly registry: string | undefined
  /** One or more components, divided by slashes. */
  readonly image: string
  readonly tag: string | undefined
  /** Decides, where a tag is given too. */
  readonly digest: Digest | undefined
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const host = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[0-9a-fA-F:.]+\\])(?::([0-9]{1,5}))?$`)

/**
 * Takes a reference apart. The part before the first slash is a registry when it has a dot or a colon, or is
 * `localhost`, as the other tools have it.
 *
 * @throws NspawnError `USAGE`
 * @see OCI distribution specification, "Pulling manifests"
 */
export function parseReference(text: string): ImageReference {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw usageError(
      `"${text}" is a URL, not the reference of an image`,
      'write it without scheme: REGISTRY/IMAGE:TAG',
    )
  }
  const [name = '', digestText, ...more] = text.split('@')
  if (more.length > 0) throw invalid(text, 'it has two digests')
  const digest = digestText === undefined ? undefined : readDigest(text, digestText)
  const colon = name.lastIndexOf(':')
  const hasTag = colon > name.lastIndexOf('/')
  const tag = hasTag ? name.slice(colon + 1) : undefined
  if (tag !== undefined && !isTag(tag)) throw invalid(text, `"${tag}" is no tag`)
  const path = hasTag ? name.slice(0, colon) : name
  const slash = path.indexOf('/')
  const first = path.slice(0, Math.max(slash, 0))
  const registry = /[.:]|^localhost$/.test(first) ? first : undefined
  const image = registry === undefined ? path : path.slice(slash + 1)
  if (registry !== undefined && !isRegistry(registry))
    throw invalid(text, `"${registry}" is no registry`)
  if (!isImage(image)) throw invalid(text, `"${image}" is no name of an image`)
  return { registry, image, tag, digest }
}

function readDigest(text: string, digest: string): Digest {
  try {
    return parseDigest(digest)
  } catch (error) {
    throw error instanceof NspawnError ? invalid(text, error.message) : error
  }
}

/** A host name or address, with or without a port. */
export function isRegistry(text: string): boolean {
  const port = host.exec(text)
  if (port === null || text.length > 255) return false
  return port[1] === undefined || (Number(port[1]) >= 1 && Number(port[1]) <= 65535)
}

export function isImage(text: string): boolean {
  return text.length <= 255 && text.split('/').every((part) => component.test(part))
}

export function isTag(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(text)
}

function invalid(text: string, why: string) {
  return usageError(
    `"${text}" is no reference of an image: ${why}`,
    'it is written [REGISTRY/]IMAGE[:TAG][@sha256:DIGITS], the image in lower case',
  )
}
