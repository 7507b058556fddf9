/**
 * Reads the host's own apt sources, to take packages from where this host takes them. Both formats
 * of sources.list(5): one line a source in `*.list`, deb822 stanzas in `*.sources`.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readIfThere } from '../../read-if-there.ts'

export interface AptSource {
  readonly types: readonly string[]
  readonly uris: readonly string[]
  readonly suites: readonly string[]
  readonly components: readonly string[]
  readonly signedBy: string | undefined
}

/** Every enabled source below `directory` (normally `/etc/apt`), in the order apt reads them. */
export function readAptSources(directory: string): AptSource[] {
  const sources = parseOneLine(readIfThere(join(directory, 'sources.list')))
  for (const name of listIfThere(join(directory, 'sources.list.d'))) {
    const text = readIfThere(join(directory, 'sources.list.d', name))
    // apt takes these two endings only; others are leftovers and editors' copies.
    if (name.endsWith('.list')) sources.push(...parseOneLine(text))
    else if (name.endsWith('.sources')) sources.push(...parseDeb822(text))
  }
  return sources
}

/** `deb [options] uri suite components…`, one a line. */
export function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)/.exec(line)
    if (match === null) continue
    const [, type, options, uri, suite, rest] = match
    sources.push({
      types: [type!],
      uris: [uri!],
      suites: [suite!],
      components: words(rest!),
      signedBy: /(?:^|\s)signed-by=(\S+)/i.exec(options ?? '')?.[1],
    })
  }
  return sources
}

/** Stanzas of `Field: value`, with continuation lines, comments and `Enabled: no`. */
export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = []
  // A comment between two lines of a stanza does not end it.
  const lines = text.split('\n').filter((line) => !line.startsWith('#'))
  for (const stanza of lines.join('\n').split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>()
    for (const [, name, value] of stanza.matchAll(/^([^\s:]+)[ \t]*:[ \t]*(.*(?:\n[ \t]+.*)*)/gm)) {
      fields.set(name!.toLowerCase(), value!)
    }
    const enabled = !/^(no|false|without|off|disable)$/i.test(
      fields.get('enabled')?.trim() ?? 'yes',
    )
    const uris = words(fields.get('uris') ?? '')
    if (!enabled || uris.length === 0) continue
    sources.push({
      types: words(fields.get('types') ?? ''),
      uris,
      suites: words(fields.get('suites') ?? ''),
      components: words(fields.get('components') ?? ''),
      // An inline key block spans lines; only a path can be handed on.
      signedBy: fields
        .get('signed-by')
        ?.trim()
        .match(/^\/\S+$/)?.[0],
    })
  }
  return sources
}

/** Where the distribution's own packages come from, as the host's sources say. */
export interface HostMirrors {
  readonly main: string | undefined
  readonly security: string | undefined
}

/**
 * Tells the archive from the security mirror and from third parties: by its suites. A third party's
 * suite is rarely called after a release, and never has `main` of the same release beside `-updates`.
 *
 * @param releases names that the distribution's suites may have (`trixie`, `stable`)
 */
export function hostMirrors(
  sources: readonly AptSource[],
  releases: readonly string[],
): HostMirrors {
  const find = (wanted: (suite: string) => boolean, path: RegExp) => {
    const fits = sources.filter(
      (source) =>
        source.types.includes('deb') &&
        source.components.includes('main') &&
        source.suites.some(wanted),
    )
    // Only apt itself understands its other methods (`mirror+file:`, `cdrom:`, `tor+http:`).
    const uris = fits.flatMap((source) => source.uris).filter((uri) => /^(https?|file):/i.test(uri))
    return (uris.find((uri) => path.test(uri)) ?? uris[0])?.replace(/\/+$/, '')
  }
  const known = new Set(releases)
  return {
    main: find((suite) => known.has(suite.replace(/\/+$/, '')), /\/debian\/?$/),
    security: find((suite) => /-security$|\/updates$/.test(suite), /-security\/?$/),
  }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

function listIfThere(path: string): string[] {
  try {
    return readdirSync(path).toSorted()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
