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
  readonly stream: Readable
  /** Bytes still to come, where the server says so. */
  readonly lengthBytes: number | undefined
  /** Where in the file the stream begins: the offset that was asked for, or 0. */
  readonly offset: number
  /** A strong ETag or a date, with which a later request can ask for the rest of the same file. */
  readonly validator: string | undefined
}

export interface BodyRequest {
  readonly url: URL
  readonly offset?: number | undefined
  /** Answered with the rest only if the file is still this one. */
  readonly validator?: string | undefined
  readonly signal: AbortSignal
}

/**
 * Opens `url` for reading, from `offset` on if the server can.
 *
 * @throws NspawnError `NOT_FOUND`, `HTTP_STATUS`, `SERVER_BUSY` (5xx, 429), `REDIRECT_LOOP`, `BAD_REDIRECT`, or the network's
 *   own code (`ECONNREFUSED`); `transient()` tells which of them are worth another try
 */
export async function openBody(request: BodyRequest): Promise<Body> {
  if (request.url.protocol === 'file:') return openFile(request)
  let url = request.url
  let credentials = authorization(url)
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
    connect: { timeout: connectTimeoutMs },
    headersTimeout: headersTimeoutMs,
    // Stalls are measured by the download itself, which also notices a trickle.
    bodyTimeout: 0,
  })
  const headers: Record<string, string> = { 'user-agent': 'tsnspawn-build', accept: '*/*' }
  if (credentials !== undefined) headers['authorization'] = credentials
  if (request.offset !== undefined && request.offset > 0) {
    headers['range'] = `bytes=${request.offset}-`
    if (request.validator !== undefined) headers['if-range'] = request.validator
  }
  const target = new URL(url)
  target.username = ''
  target.password = ''
  try {
    return await client.request(target, { dispatcher: agent, headers, signal: request.signal })
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
  const etag = String(answer.headers['etag'] ?? '')
  const date = answer.headers['last-modified']
  return {
    stream: answer.body,
    lengthBytes: Number.isSafeInteger(length) ? length : undefined,
    offset,
    validator: /^"[^"]*"$/.test(etag) ? etag : typeof date === 'string' ? date : undefined,
  }
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

function authorization(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

async function openFile(request: BodyRequest): Promise<Body> {
  const path = fileURLToPath(request.url)
  try {
    const { size } = await stat(path)
    return { stream: createReadStream(path), lengthBytes: size, offset: 0, validator: undefined }
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    throw new NspawnError('cannot read the file', {
      code: code === 'ENOENT' ? 'NOT_FOUND' : (code ?? 'EIO'),
      operation: syscall,
      subject: path,
    })
  }
}
