/**
 * Says to a registry who we are, in the way that it asks for: with a token from its token server, or with user and
 * password. Without a login tokens are asked for anonymously, as public images need them too.
 */
import { z } from 'zod'
import { NspawnError } from '../../errors.ts'
import { fetchBytes } from '../download.ts'
import type { Authority } from '../http-body.ts'
import { withoutSecrets } from '../url.ts'
import type { Login } from './auth-file.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import { isLoopback, type ImageLocation } from './registry-files.ts'

const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional() })
const maxBytes = 256 * 1024

export class RegistryAuthority implements Authority {
  private current: string | undefined
  private pending: Promise<string> | undefined
  private readonly location: ImageLocation
  private readonly login: Login | undefined
  private readonly stallMs: number | undefined

  constructor(location: ImageLocation, login: Login | undefined, stallMs?: number) {
    this.location = location
    this.login = login
    this.stallMs = stallMs
  }

  authorization(): string | undefined {
    return this.current
  }

  /** Requests that run at the same time are refused at the same time, and share one new token. */
  async answer(
    challenge: string,
    refused: string | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    if (this.current !== undefined && this.current !== refused) return this.current
    this.pending ??= this.renew(challenge, refused, signal).finally(() => {
      this.pending = undefined
    })
    return this.pending
  }

  private async renew(
    header: string,
    refused: string | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const challenges = parseChallenges(header)
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    const basic = challenges.find(({ scheme }) => scheme === 'basic')
    if (bearer !== undefined) this.current = `Bearer ${await this.fetchToken(bearer, signal)}`
    else if (basic !== undefined && this.login !== undefined) {
      const { user, password } = this.login
      this.current = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
      if (refused === this.current) throw this.refusal('refuses user and password')
    } else if (basic !== undefined) throw this.refusal('wants a user and a password')
    else {
      const named = challenges.map(({ scheme }) => scheme.slice(0, 40))
      throw this.refusal(
        named.length === 0
          ? 'refuses the request and does not say how to log in'
          : `wants a login of an unknown kind: ${named.slice(0, 3).join(', ')}`,
      )
    }
    return this.current
  }

  private async fetchToken({ parameters }: Challenge, signal: AbortSignal): Promise<string> {
    const url = this.tokenServer(parameters.get('realm') ?? '')
    const service = parameters.get('service')
    if (service !== undefined) url.searchParams.set('service', service)
    url.searchParams.set(
      'scope',
      parameters.get('scope') ?? `repository:${this.location.image}:pull`,
    )
    if (this.login !== undefined) {
      // Only there for the request: messages never show this part of a URL.
      url.username = encodeURIComponent(this.login.user)
      url.password = encodeURIComponent(this.login.password)
    }
    let bytes: Buffer
    try {
      bytes = await fetchBytes({ url, maxBytes, signal, stallMs: this.stallMs })
    } catch (error) {
      if (!(error instanceof NspawnError) || error.code !== 'UNAUTHORIZED') throw error
      const what = this.login === undefined ? 'wants a user and a password' : 'refuses the login'
      throw this.refusal(what, withoutSecrets(url))
    }
    const token = readToken(bytes)
    if (token !== undefined) return token
    throw new NspawnError('the token server sent no token', {
      code: 'BAD_TOKEN',
      operation: 'read token',
      subject: withoutSecrets(url),
    })
  }

  /** A password must not be asked for in the clear, unless the registry itself is spoken to like that. */
  private tokenServer(realm: string): URL {
    const { protocol, server } = this.location
    if (!URL.canParse(realm)) throw this.refusal('names no token server')
    const url = new URL(realm)
    const near =
      isLoopback(url.host) || url.hostname === new URL(`${protocol}://${server}`).hostname
    if (url.protocol === 'https:' || (url.protocol === 'http:' && protocol === 'http' && near))
      return url
    throw new NspawnError('the registry names a token server that is not asked over https', {
      code: 'INSECURE_REALM',
      operation: 'log in',
      subject: withoutSecrets(url),
    })
  }

  private refusal(what: string, subject = this.location.server): NspawnError {
    return new NspawnError(`the registry ${what}`, {
      code: 'UNAUTHORIZED',
      operation: 'log in',
      subject,
      hint:
        this.login === undefined
          ? `the image may be private, or not exist; --auth-file= names a file with your login at ${this.location.registry}`
          : 'check user and password in the auth file, and whether this user may pull the image',
    })
  }
}

function readToken(bytes: Buffer): string | undefined {
  try {
    const { data } = tokenAnswer.safeParse(JSON.parse(bytes.toString('utf8')))
    const token = data?.token ?? data?.access_token
    // What a header can carry (RFC 6750, section 2.1), and no more.
    return token !== undefined && /^[A-Za-z0-9._~+/=:-]{1,65536}$/.test(token) ? token : undefined
  } catch {
    return undefined
  }
}
