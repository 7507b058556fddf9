/**
 * Package sources and pins that one build adds to those of its tree: what the caller wrote becomes files of apt's
 * configuration (sources.list(5), apt_preferences(5)), in a layer, so that the tree stays as it is.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { NspawnError, usageError } from '../../errors.ts'
import {
  parseDeb822 as parseStanzas,
  parseOneLine,
  type AptSource,
} from '../../bootstrap/archives/apt-sources.ts'
import type { RootFile } from '../prepare-root.ts'

export interface ExtraWishes {
  /** Each a line `deb URI SUITE COMPONENT…`, or the absolute path of a `.list` or `.sources` file. */
  readonly repositories: readonly string[]
  /** Absolute paths of public keys; only these vouch for repositories that name none themselves. */
  readonly keys: readonly string[]
  /** Each `PACKAGE… release|version|origin WHAT PRIORITY`. */
  readonly pins: readonly string[]
}

export interface AptExtras {
  readonly files: readonly RootFile[]
  /** The places whose Release files count. */
  readonly suites: readonly { readonly uri: string; readonly suite: string }[]
}

const stem = 'tsnspawn-build-extra'
const sourceHint = 'write it as "deb http://ARCHIVE/debian SUITE main"'

/**
 * Reads what was asked for.
 *
 * @throws NspawnError `USAGE`
 */
export function readAptExtras({ repositories, keys, pins }: ExtraWishes): AptExtras {
  if (keys.length > 0 && repositories.length === 0)
    throw usageError('a key of repositories was given, but no extra repository')
  const keyFiles = keys.map((path, index) => keyFile(path, index))
  const keyrings = keyFiles.map(({ path }) => `/${path}`).join(',')
  const sources = repositories.map((text, index) => sourceFile(text, index, keyrings))
  return {
    files: [...keyFiles, ...sources.map(({ file }) => file), ...pinFiles(pins)],
    suites: sources.flatMap(({ entries }) =>
      entries.flatMap(({ uris, suites }) =>
        uris.flatMap((uri) => suites.map((suite) => ({ uri, suite }))),
      ),
    ),
  }
}

/** The files for a record: text as it is, and of keys the digest alone. */
export function describeExtras({ files }: AptExtras) {
  return files.map(({ path, text }) => {
    const sha256 = createHash('sha256').update(text).digest('hex')
    return { path: `/${path}`, sha256, ...(typeof text === 'string' ? { text } : {}) }
  })
}

function sourceFile(
  text: string,
  index: number,
  keyrings: string,
): { readonly file: RootFile; readonly entries: readonly AptSource[] } {
  const kind = /^\/.*\.(list|sources)$/.exec(text)?.[1] ?? 'line'
  const content = kind === 'line' ? `${text}\n` : readText(text)
  if (kind === 'line' && content.trim().includes('\n'))
    throw usageError('an extra repository has more than one line', sourceHint)
  const entries = kind === 'sources' ? parseStanzas(content) : linesOf(content, text)
  if (entries.length === 0) throw usageError(`there is no package source in ${text}`, sourceHint)
  for (const entry of entries) requireUsable(entry, text)
  const sign = kind === 'sources' ? signStanzas : signLines
  return {
    file: {
      path: `etc/apt/sources.list.d/${stem}-${index}.${kind === 'sources' ? kind : 'list'}`,
      text: keyrings === '' ? content : sign(content, keyrings),
      mode: 0o644,
    },
    entries,
  }
}

/** Every line must be one that apt takes: it would stop at the first that is none. */
function linesOf(content: string, subject: string): readonly AptSource[] {
  return content
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('#'))
    .flatMap((line) => {
      const entries = parseOneLine(line)
      if (entries.length === 0) throw usageError(`not a package source: ${subject}`, sourceHint)
      return entries
    })
}

function requireUsable({ types, uris, suites, components }: AptSource, subject: string): void {
  if (!types.includes('deb'))
    throw usageError(`${subject} has no packages, only sources`, sourceHint)
  if (suites.length === 0) throw usageError(`${subject} names no suite`, sourceHint)
  if (components.length === 0 && suites.some((suite) => !suite.endsWith('/')))
    throw usageError(`${subject} names no component`, sourceHint)
  for (const uri of uris) {
    const url = URL.canParse(uri) ? new URL(uri) : undefined
    if (url === undefined || !['http:', 'https:'].includes(url.protocol))
      throw usageError(
        `${uri} cannot be reached from a build container`,
        'only http and https can; --add-repository takes a directory of packages',
      )
    if (url.username !== '' || url.password !== '')
      throw usageError(
        `the package source at ${url.host} has a password in it`,
        "write it to etc/apt/auth.conf.d of the tree: a layer's files can be read by every build",
      )
  }
}

/** Leaves lines alone that say themselves who vouches. */
function signLines(content: string, keyrings: string): string {
  return content.replaceAll(
    /^(\s*deb(?:-src)?\s+)(?:\[([^\]]*)\]\s+)?/gm,
    (line, start: string, options = '') =>
      /(^|\s)(signed-by|trusted)\s*=/i.test(options)
        ? line
        : `${start}[${`${options} signed-by=${keyrings}`.trim()}] `,
  )
}

function signStanzas(content: string, keyrings: string): string {
  return content
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n[ \t]*\n/)
    .filter((stanza) => stanza.trim() !== '')
    .map((stanza) =>
      /^(signed-by|trusted)[ \t]*:/im.test(stanza)
        ? stanza.trimEnd()
        : `${stanza.trimEnd()}\nSigned-By: ${keyrings}`,
    )
    .map((stanza) => `${stanza.replace(/^\n+/, '')}\n`)
    .join('\n')
}

/** RFC 9580, 4.2: the first packet of a transferable public key is tag 6. */
function keyFile(path: string, index: number): RootFile {
  const text = readBytes(path)
  const first = text[0] ?? 0
  const tag = (first & 0x40) === 0 ? (first >> 2) & 0xf : first & 0x3f
  const armoured = text.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')
  if (text.includes('-----BEGIN PGP PRIVATE KEY') || (!armoured && (first < 0x80 || tag !== 6)))
    throw usageError(
      `${path} is no file of public keys`,
      'make one with "gpg --export --armor KEY"',
    )
  const ending = armoured ? 'asc' : 'gpg'
  return { path: `etc/apt/keyrings/${stem}-${index}.${ending}`, text, mode: 0o644 }
}

function pinFiles(pins: readonly string[]): readonly RootFile[] {
  if (pins.length === 0) return []
  const read = pins.map(readPin)
  const file = (path: string, text: string): RootFile => ({ path, text, mode: 0o644 })
  return [
    file(
      `etc/apt/preferences.d/${stem}`,
      read
        .map(
          ({ packages, pin, priority }) =>
            `Package: ${packages}\nPin: ${pin}\nPin-Priority: ${priority}\n`,
        )
        .join('\n'),
    ),
    // That is what a priority above 1000 means; apt asks about it even where nobody can answer.
    ...(read.some(({ priority }) => priority > 1000)
      ? [file(`etc/apt/apt.conf.d/${stem}`, 'APT::Get::allow-downgrades "true";\n')]
      : []),
  ]
}

function readPin(text: string) {
  const words = text.trim().split(/\s+/)
  const at = words.findIndex((word) => ['release', 'version', 'origin'].includes(word))
  const priority = Number(words.at(-1))
  const packages = words.slice(0, at)
  const pin = words.slice(at, -1)
  const isName = (word: string) =>
    /^(src:)?[A-Za-z0-9*?.+-]+(:[a-z0-9-]+)?$/.test(word) || /^\/\S+\/$/.test(word)
  const isWhole =
    at > 0 && pin.length > 1 && Number.isInteger(priority) && Math.abs(priority) <= 32_767
  if (!isWhole || priority === 0 || !packages.every(isName))
    throw usageError(
      `not a pin: ${text}`,
      'write packages, "release", "version" or "origin", what it must be, and a priority: "libfoo* release a=stable-backports 990"',
    )
  return { packages: packages.join(' '), pin: pin.join(' '), priority }
}

function readText(path: string): string {
  return readBytes(path).toString('utf8')
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new NspawnError('cannot read the file', {
      code: 'USAGE',
      operation: 'read package sources',
      subject: path,
      cause: new NspawnError(message, { code: code ?? 'EIO' }),
    })
  }
}
