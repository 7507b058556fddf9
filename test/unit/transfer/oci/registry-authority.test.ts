import { describe, expect, test } from 'vitest'
import { RegistryAuthority } from '../../../../src/transfer/oci/registry-authority.ts'
import { serve } from '../../../fixtures/web-server.ts'

const login = { user: 'me', password: 'p:w %' }
const location = (protocol: 'http' | 'https', server: string) => ({
  protocol,
  server,
  registry: server,
  image: 'a/web',
  tag: '1',
  digest: undefined,
})
const never = new AbortController().signal

describe('a token server', () => {
  test.each([
    ['https', 'registry.example', 'http://registry.example/token'],
    ['https', 'registry.example', 'http://127.0.0.1/token'],
    ['http', 'registry.example', 'http://auth.example/token'],
    ['http', 'registry.example', 'ftp://registry.example/token'],
    ['https', 'registry.example', 'file:///etc/passwd'],
  ] as const)('of %s://%s is not %s', async (protocol, server, realm) => {
    const authority = new RegistryAuthority(location(protocol, server), login)
    await expect(
      authority.answer(`Bearer realm="${realm}"`, undefined, never),
    ).rejects.toMatchObject({ code: 'INSECURE_REALM' })
  })

  test('may be asked without TLS when the registry is, and is the same host', async () => {
    await using server = await serve({ '/token': '{"token":"abc"}' })
    const authority = new RegistryAuthority(location('http', '127.0.0.1:1'), login)
    const challenge = `Bearer realm="${server.origin}/token?x=1",service="s",scope="repository:a/web:pull"`
    const answers = [1, 2].map(() => authority.answer(challenge, undefined, never))
    expect(await Promise.all(answers)).toEqual(['Bearer abc', 'Bearer abc'])
    expect(authority.authorization()).toBe('Bearer abc')
    expect(server.requests.map(({ url }) => url)).toEqual([
      '/token?x=1&service=s&scope=repository%3Aa%2Fweb%3Apull',
    ])
    expect(server.requests[0]?.headers.authorization).toBe(
      `Basic ${Buffer.from('me:p:w %').toString('base64')}`,
    )
  })

  test('that names no scope is asked for pulling the image', async () => {
    await using server = await serve({ '/token': '{"access_token":"abc"}' })
    const authority = new RegistryAuthority(location('http', '127.0.0.1:1'), undefined)
    await authority.answer(`Bearer realm="${server.origin}/token"`, undefined, never)
    expect(server.requests.map(({ url }) => url)).toEqual([
      '/token?scope=repository%3Aa%2Fweb%3Apull',
    ])
  })
})

test('the stronger of two ways is taken', async () => {
  await using server = await serve({ '/token': '{"token":"abc"}' })
  const authority = new RegistryAuthority(location('http', '127.0.0.1:1'), login)
  const challenge = `Basic realm="x", Bearer realm="${server.origin}/token"`
  expect(await authority.answer(challenge, undefined, never)).toBe('Bearer abc')
})

test('user and password are not sent a second time', async () => {
  const authority = new RegistryAuthority(location('https', 'registry.example'), login)
  const sent = await authority.answer('Basic realm="x"', undefined, never)
  expect(sent).toMatch(/^Basic /)
  await expect(authority.answer('Basic realm="x"', sent, never)).rejects.toMatchObject({
    code: 'UNAUTHORIZED',
  })
})
