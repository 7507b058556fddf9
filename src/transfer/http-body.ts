/**
 * One GET over http, https or from a file, as a stream of bytes. Redirects are followed by hand, so
 * that they are few, stay on http and https, never fall from https to http, and never carry a
 * password to another server. Everything that comes in is hostile until it has been checked.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Dispatcher } from 'undici'
import { NspawnError } from '../errors.ts'
import { withoutSecrets } from './url.ts'

const redirectLimit = 10
const connectTimeoutMs = 15_000
const headersTimeoutMs = 30_000
const transientCodes = new Set([
  'NETWORK',
  'STALLED',
  'TRUNCATED',
  'SERVER_BUSY',
  'ECONNRESET',
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EPIPE',
  'EAI_AGAIN',
])

export interface Body {
  readonly state: 'content'
  readonly stream: Readable
  /** Bytes still to come, where the server says so. */
  readonly lengthBytes: number | undefined
  /** Where in the file the stream begins: the offset that was asked for, or 0. */
  readonly offset: number
  /** A strong ETag or a date, with which a later request can ask for the rest of the same file. */
  readonly validator: string | undefined
  /** The ETag, strong or weak, quotes included. */
  readonly etag: string | undefined
  /** Milliseconds since 1970. */
  readonly modifiedMs: number | undefined
  /** The media type that the server says, in lower case and without parameters. */
  readonly contentType: string | undefined
}

/** The file is one of those that `known` named. */
export interface NotModified {
  readonly state: 'not-modified'
  /** Which one; servers may leave it out. */
  readonly etag: string | undefined
}

export interface BodyRequest {
  readonly url: URL
  readonly offset?: number | undefined
  /** Answered with the rest only if the file is still this one. */
  readonly validator?: string | undefined
  /** ETags of versions that need not be sent again. */
  readonly known?: readonly string[] | undefined
  /** Media types that are wanted; default any. */
  readonly accept?: readonly string[] | undefined
  readonly authority?: Authority | undefined
  readonly signal: AbortSignal
}

/** Speaks for the user where a server asks who wants the file. No other server than that of the URL hears of it. */
export interface Authority {
  /** The `Authorization` to begin with; undefined while none is known. */
  authorization(): string | undefined
  /**
   * Another one, after the server refused the last with status 401.
   *
   * @param challenge the server's `WWW-Authenticate`, its lines divided by commas
   * @param refused what was sent
   * @throws NspawnError when there is none to be had
   */
  answer(challenge: string, refused: string | undefined, signal: AbortSignal): Promise<string>
}

/**
 * Opens `url` for reading, from `offset` on if the server can.
 *
 * @throws NspawnError `NOT_FOUND`, `UNAUTHORIZED`, `HTTP_STATUS`, `SERVER_BUSY` (5xx, 429), `BAD_RANGE` (there is nothing at `offset`),
 *   `REDIRECT_LOOP`, `BAD_REDIRECT`, or the network's own code (`ECONNREFUSED`); `transient()` tells which of them are
 *   worth another try
 */
export async function openBody(request: BodyRequest): Promise<Body | NotModified> {
  if (request.url.protocol === 'file:') return openFile(request)
  const { authority } = request
  let url = request.url
  let credentials = authority?.authorization() ?? authorization(url)
  let challenged = false
  for (let redirects = 0; redirects <= redirectLimit; redirects++) {
    const answer = await get(url, request, credentials)
    const status = answer.statusCode
    if ([301, 302, 303, 307, 308].includes(status)) {
      answer.body.on('error', () => {}).destroy()
      const next = redirectTarget(url, answer.headers['location'])
      if (next.origin !== url.origin) credentials = authorization(next)
      url = next
      continue
    }
    if (status === 200 || status === 206) return body(answer, request, status)
    answer.body.on('error', () => {}).destroy()
    if (status === 401 && authority !== undefined && !challenged && url === request.url) {
      challenged = true
      const challenge = [answer.headers['www-authenticate'] ?? ''].flat().join(', ')
      credentials = await authority.answer(challenge, credentials, request.signal)
      continue
    }
    if (status === 304 && (request.known ?? []).length > 0)
      return { state: 'not-modified', etag: etagOf(answer) }
    throw new NspawnError(`the server answered with status ${status}`, {
      code: statusCode(status),
      operation: 'GET',
      subject: withoutSecrets(url),
    })
  }
  throw new NspawnError(`more than ${redirectLimit} redirects`, {
    code: 'REDIRECT_LOOP',
    operation: 'GET',
    subject: withoutSecrets(request.url),
  })
}

/** Whether a failed request may go well when it is tried again. */
export function transient(error: unknown): boolean {
  if (!(error instanceof NspawnError)) return false
  return transientCodes.has(error.code)
}

/** What the network layer said, as an error of ours; a bug stays what it is. */
export function networkError(error: unknown, url: URL): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof NspawnError || code === undefined) return error
  if (/^ERR_(?:SSL|TLS)_|CERT|^UNABLE_TO_/.test(code)) {
    // OpenSSL's own messages are lines of numbers, with the words that count beside them.
    const why = (error as { reason?: string }).reason ?? message
    return new NspawnError(`there is no safe connection to the server: ${why.toLowerCase()}`, {
      code: 'TLS',
      operation: 'GET',
      subject: withoutSecrets(url),
      hint: 'it may not speak https; certificates of an authority of your own are named by NODE_EXTRA_CA_CERTS',
    })
  }
  const named = /^E[A-Z_]+$/.test(code)
  return new NspawnError(
    named ? 'cannot reach the server' : `the transfer broke off: ${message.toLowerCase()}`,
    {
      code: named ? code : 'NETWORK',
      operation: 'GET',
      subject: withoutSecrets(url),
      hint: 'check the network, the name of the server and the proxy variables',
    },
  )
}

function statusCode(status: number): string {
  if (status === 404 || status === 410) return 'NOT_FOUND'
  if (status === 401) return 'UNAUTHORIZED'
  if (status === 416) return 'BAD_RANGE'
  return status >= 500 || status === 429 ? 'SERVER_BUSY' : 'HTTP_STATUS'
}

type Answer = Dispatcher.ResponseData

let agent: Dispatcher | undefined

async function get(
  url: URL,
  request: BodyRequest,
  credentials: string | undefined,
): Promise<Answer> {
  const client = await import('./http-client.ts')
  agent ??= new client.EnvHttpProxyAgent({
    ...proxies(),
    connect: { timeout: connectTimeoutMs },
    headersTimeout: headersTimeoutMs,
    // Stalls are measured by the download itself, which also notices a trickle.
    bodyTimeout: 0,
  })
  const headers: Record<string, string> = { 'user-agent': 'tsnspawn-build', accept: '*/*' }
  if (request.accept !== undefined) headers['accept'] = request.accept.join(', ')
  if (credentials !== undefined) headers['authorization'] = credentials
  if (request.offset !== undefined && request.offset > 0) {
    headers['range'] = `bytes=${request.offset}-`
    if (request.validator !== undefined) headers['if-range'] = request.validator
  }
  if (request.known !== undefined && request.known.length > 0)
    headers['if-none-match'] = request.known.join(', ')
  const { origin, pathname, search } = url
  const path = `${pathname}${search}`
  try {
    return await agent.request({ origin, path, method: 'GET', headers, signal: request.signal })
  } catch (error) {
    if (request.signal.aborted) throw request.signal.reason
    throw networkError(error, url)
  }
}

function body(answer: Answer, request: BodyRequest, status: number): Body {
  const length = Number(answer.headers['content-length'] ?? NaN)
  const offset = status === 206 ? rangeStart(answer.headers['content-range']) : 0
  if (status === 206 && offset !== (request.offset ?? 0)) {
    answer.body.on('error', () => {}).destroy()
    throw new NspawnError('the server sent another part than was asked for', {
      code: 'BAD_RANGE',
      operation: 'GET',
      subject: withoutSecrets(request.url),
    })
  }
  const etag = etagOf(answer)
  const modifiedMs = Date.parse(String(answer.headers['last-modified']))
  return {
    state: 'content',
    stream: answer.body,
    lengthBytes: Number.isSafeInteger(length) ? length : undefined,
    offset,
    validator: etag?.startsWith('"') === true ? etag : strongDate(answer),
    etag,
    modifiedMs: Number.isNaN(modifiedMs) ? undefined : modifiedMs,
    contentType: mediaType(answer.headers['content-type']),
  }
}

function mediaType(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header.split(';', 1)[0]?.trim().toLowerCase() : undefined
}

/** A tag as RFC 9110 section 8.8.3 has it; other text is none. */
function etagOf(answer: Answer): string | undefined {
  const text = answer.headers['etag']
  return typeof text === 'string' && /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/.test(text)
    ? text
    : undefined
}

/**
 * The date of the file, when it tells versions apart: not within the second that it was changed in, as the second
 * change in it would have the same date (RFC 9110 section 8.8.2.2).
 */
function strongDate(answer: Answer): string | undefined {
  const { date, 'last-modified': modified } = answer.headers
  if (typeof modified !== 'string' || Number.isNaN(Date.parse(modified))) return undefined
  return Date.parse(String(date)) - Date.parse(modified) < 1000 ? undefined : modified
}

function rangeStart(header: string | string[] | undefined): number {
  return Number(/^bytes (\d+)-/.exec(String(header))?.[1] ?? -1)
}

function redirectTarget(from: URL, location: string | string[] | undefined): URL {
  const bad = (why: string) =>
    new NspawnError(`the server redirects ${why}`, {
      code: 'BAD_REDIRECT',
      operation: 'GET',
      subject: withoutSecrets(from),
    })
  if (typeof location !== 'string') throw bad('to nowhere')
  let target: URL
  try {
    target = new URL(location, from)
  } catch {
    throw bad('to something that is no URL')
  }
  if (target.protocol !== 'http:' && target.protocol !== 'https:')
    throw bad(`to ${target.protocol}`)
  if (from.protocol === 'https:' && target.protocol === 'http:') throw bad('from https to http')
  return target
}

/**
 * The proxies of the environment beyond those that the client finds itself: `all_proxy`, and addresses without a
 * scheme, as curl takes them. Plain requests go through the proxy as such, since few proxies tunnel to port 80.
 */
function proxies(): { httpProxy?: string; httpsProxy?: string; proxyTunnel: boolean } {
  const of = (...names: string[]) => {
    const found = names
      .map((name) => process.env[name] ?? process.env[name.toUpperCase()])
      .find((value) => value !== undefined && value !== '')
    return found === undefined || /^[a-z0-9]+:\/\//i.test(found) ? found : `http://${found}`
  }
  const httpProxy = of('http_proxy', 'all_proxy')
  const httpsProxy = of('https_proxy', 'all_proxy')
  return {
    ...(httpProxy === undefined ? {} : { httpProxy }),
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    proxyTunnel: false,
  }
}

function authorization(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

async function openFile(request: BodyRequest): Promise<Body> {
  const path = fileURLToPath(request.url)
  try {
    const { size, mtimeMs } = await stat(path)
    return {
      state: 'content',
      stream: createReadStream(path),
      lengthBytes: size,
      offset: 0,
      validator: undefined,
      etag: undefined,
      modifiedMs: mtimeMs,
      contentType: undefined,
    }
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    throw new NspawnError('cannot read the file', {
      code: code === 'ENOENT' ? 'NOT_FOUND' : (code ?? 'EIO'),
      operation: syscall,
      subject: path,
    })
  }
}
