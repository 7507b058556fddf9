import { execFileSync } from 'node:child_process'
import { createSign, randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeError } from '../../../src/errors.ts'
import { pullOci, type OciPull } from '../../../src/transfer/oci/pull-oci.ts'
import { startRegistry, type DockerRegistry } from '../../fixtures/docker-registry.ts'
import { makeLayer, pushImage, type Layer } from '../../fixtures/oci-image.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type WebServer } from '../../fixtures/web-server.ts'

const absent = lacks('root', 'program:docker-registry', 'program:openssl')
const [user, password] = ['tester', 'open sesame']
/** bcrypt of the password. */
const htpasswd = `${user}:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n`
const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

let place: TemporaryDirectory
let layers: Layer[]
beforeAll(() => {
  if (!absent) layers = [makeLayer('echo one > one'), makeLayer('echo two > two')]
})
beforeEach(async () => {
  place = await temporaryDirectory()
  return () => place[Symbol.asyncDispose]()
})

const request = (reference: string, more: Partial<OciPull> = {}): OciPull => ({
  reference,
  directory: join(place.path, 'machines'),
  stateDirectory: join(place.path, 'state'),
  retries: 0,
  ...more,
})
const nothingMade = () => expect(existsSync(join(place.path, 'machines'))).toBe(false)

function authFile(address: string, login = `${user}:${password}`): string {
  const path = join(place.path, 'auth.json')
  const auth = Buffer.from(login).toString('base64')
  writeFileSync(path, JSON.stringify({ auths: { [address]: { auth } } }))
  return path
}

const failure = (pulling: Promise<unknown>): Promise<unknown> =>
  pulling.then(
    () => 'no error',
    (error: unknown) => error,
  )

describe.skipIf(absent)('a registry that wants user and password', () => {
  let registry: DockerRegistry
  beforeAll(async () => {
    registry = await startRegistry({ htpasswd })
    await pushImage(registry.origin, 'private/web', '1', { layers }, { authorization: basic })
  })
  afterAll(() => registry[Symbol.asyncDispose]())
  const reference = () => `${registry.address}/private/web:1`

  test('gets them from the auth file', async () => {
    const { path } = await pullOci(request(reference(), { authFile: authFile(registry.address) }))
    expect(readdirSync(path).toSorted()).toEqual(['one', 'two'])
  })

  test('that refuses them is told so, and the password is not shown', async () => {
    const wrong = authFile(registry.address, `${user}:guessed`)
    const error = await failure(pullOci(request(reference(), { authFile: wrong })))
    expect(error).toMatchObject({ code: 'UNAUTHORIZED' })
    expect(describeError(error)).toMatch(/status 401/)
    expect(describeError(error)).not.toMatch(/guessed|Z3Vlc3NlZ/)
    nothingMade()
  })

  test('gets nothing without: the error says what would help', async () => {
    for (const authFileOf of [undefined, authFile('other.example')]) {
      const error = await failure(pullOci(request(reference(), { authFile: authFileOf })))
      expect(error).toMatchObject({ code: 'UNAUTHORIZED' })
      expect(describeError(error)).toMatch(/wants a user and a password/)
      expect(describeError(error)).toMatch(/--auth-file=/)
    }
    nothingMade()
  })
})

describe.skipIf(absent)('a registry that wants tokens', () => {
  let registry: DockerRegistry
  let tokens: WebServer
  let keys: TemporaryDirectory
  let sign: (claims: Record<string, unknown>) => string
  let lifetimeSeconds: number
  let anonymous: boolean

  /** Who asks may pull and push what it asks for, with the password; without, only pull below public/. */
  const answer = (asked: IncomingMessage): Record<string, unknown> | undefined => {
    const url = new URL(asked.url ?? '/', tokens.origin)
    const [, name = '', actions = ''] =
      /^repository:([^:]+):([a-z,]+)$/.exec(url.searchParams.get('scope') ?? '') ?? []
    const known = asked.headers.authorization === basic
    if (!known && (asked.headers.authorization !== undefined || !anonymous)) return undefined
    const granted = known ? actions.split(',') : name.startsWith('public/') ? ['pull'] : []
    return {
      iss: 'test issuer',
      aud: url.searchParams.get('service'),
      sub: known ? user : '',
      exp: Math.floor(Date.now() / 1000) + lifetimeSeconds,
      nbf: Math.floor(Date.now() / 1000) - 100,
      iat: Math.floor(Date.now() / 1000),
      jti: randomUUID(),
      access: [{ type: 'repository', name, actions: granted }],
    }
  }

  beforeAll(async () => {
    keys = await temporaryDirectory()
    const [keyFile, certificateFile] = [join(keys.path, 'key.pem'), join(keys.path, 'cert.pem')]
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test', '-days', '2'],
        ...['-keyout', keyFile, '-out', certificateFile],
      ],
      { stdio: 'ignore' },
    )
    const der = readFileSync(certificateFile, 'utf8').replaceAll(/-----[A-Z ]+-----|\s/g, '')
    sign = (claims) => {
      const header = { typ: 'JWT', alg: 'RS256', x5c: [der] }
      const text = [header, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
      const signature = createSign('RSA-SHA256').update(text).sign(readFileSync(keyFile))
      return `${text}.${signature.toString('base64url')}`
    }
    tokens = await serve({
      '/token': (asked, response) => {
        const claims = answer(asked)
        if (claims === undefined) response.writeHead(401).end('{}')
        else response.end(JSON.stringify({ token: sign(claims), expires_in: lifetimeSeconds }))
      },
    })
    registry = await startRegistry({
      token: () => ({
        realm: `${tokens.origin}/token`,
        service: 'the registry',
        issuer: 'test issuer',
        rootcertbundle: certificateFile,
      }),
    })
    lifetimeSeconds = 300
    for (const name of ['private/web', 'public/web']) {
      const scope = `repository:${name}:pull,push`
      const got = await fetch(
        `${tokens.origin}/token?service=the%20registry&scope=${encodeURIComponent(scope)}`,
        { headers: { authorization: basic } },
      )
      const { token } = (await got.json()) as { token: string }
      await pushImage(registry.origin, name, '1', { layers }, { authorization: `Bearer ${token}` })
    }
  })
  afterAll(async () => {
    await registry[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
    await keys[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    tokens.requests.length = 0
    lifetimeSeconds = 300
    anonymous = true
  })

  test('hands public images to everybody, with one token for the whole pull', async () => {
    const { path } = await pullOci(request(`${registry.address}/public/web:1`))
    expect(readdirSync(path).toSorted()).toEqual(['one', 'two'])
    expect(tokens.requests.map(({ url }) => url)).toEqual([
      '/token?service=the+registry&scope=repository%3Apublic%2Fweb%3Apull',
    ])
    expect(tokens.requests[0]?.headers.authorization).toBeUndefined()
  })

  test('hands private ones to those that the token server knows', async () => {
    const reference = `${registry.address}/private/web:1`
    const refused = await failure(pullOci(request(reference)))
    expect(refused).toMatchObject({ code: 'UNAUTHORIZED' })
    nothingMade()
    await pullOci(request(reference, { authFile: authFile(registry.address) }))
    expect(tokens.requests.at(-1)?.headers.authorization).toBe(basic)
  })

  test('that takes none of its tokens is not asked again and again', async () => {
    lifetimeSeconds = -3600
    const expired = await failure(pullOci(request(`${registry.address}/public/web:1`)))
    expect(expired).toMatchObject({ code: 'UNAUTHORIZED' })
    expect(tokens.requests).toHaveLength(1)
  })

  test('and a token server that refuses is told as such, without the password', async () => {
    const authFileOf = authFile(registry.address, `${user}:guessed`)
    const reference = `${registry.address}/private/web:1`
    const error = await failure(pullOci(request(reference, { authFile: authFileOf })))
    expect(error).toMatchObject({ code: 'UNAUTHORIZED' })
    expect(describeError(error)).toMatch(/refuses the login/)
    expect(describeError(error)).not.toMatch(/guessed/)
    anonymous = false
    const nobody = await failure(pullOci(request(reference)))
    expect(describeError(nobody)).toMatch(/wants a user and a password/)
    nothingMade()
  })
})
