import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findLogin } from '../../../../src/transfer/oci/auth-file.ts'

let directory: string
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'auth-file-'))))
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const find = (content: unknown, registry = 'r.example', image = 'a/web') => {
  const path = join(directory, 'auth.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return findLogin(path, { registry, image })
}
const auth = (user: string) => ({ auth: Buffer.from(`${user}:pass:word`).toString('base64') })

test('the entry that says most of the path counts', async () => {
  const auths = {
    'r.example': auth('all'),
    'r.example/a': auth('some'),
    'r.example/a/web/x': auth('other'),
  }
  expect(await find({ auths })).toEqual({ user: 'some', password: 'pass:word' })
  expect(await find({ auths }, 'r.example', 'b')).toEqual({ user: 'all', password: 'pass:word' })
  expect(await find({ auths }, 'r.example', 'a/web/x')).toMatchObject({ user: 'other' })
  expect(await find({ auths }, 'other.example')).toBeUndefined()
  expect(await find({ auths }, 'r.example:5000')).toBeUndefined()
})

test('docker’s way of naming registries is understood', async () => {
  const auths = { 'https://index.docker.io/v1/': auth('hub'), 'https://r.example/v2/': auth('r') }
  expect(await find({ auths }, 'docker.io', 'library/web')).toMatchObject({ user: 'hub' })
  expect(await find({ auths })).toMatchObject({ user: 'r' })
})

test('user and password may stand there as they are', async () => {
  const login = { username: 'me', password: 'secret' }
  expect(await find({ auths: { 'r.example': login } })).toEqual({ user: 'me', password: 'secret' })
})

test.each([
  ['no JSON', '{"auths": "topsecret', /it is not JSON/],
  ['a list', { auths: [] }, /auths is not/],
  ['half an entry', { auths: { 'r.example': { auth: 'eA==' } } }, /no user and password/],
  [
    'an identity token',
    { auths: { 'r.example': { ...auth('x'), identitytoken: 't' } } },
    /identity token/,
  ],
  [
    'a credential helper',
    { auths: { 'r.example': {} }, credHelpers: { 'r.example': 'evil' } },
    /credential helper/,
  ],
  ['a credential store', { credsStore: 'desktop' }, /credential helper/],
])('%s is refused, and secrets are not shown', async (_what, content, why) => {
  const error = await find(content).catch((refused: Error) => refused)
  expect(error).toMatchObject({ code: 'BAD_AUTH_FILE', message: expect.stringMatching(why) })
  expect(JSON.stringify(error)).not.toContain('topsecret')
})

test('a missing file is told', async () => {
  const missing = findLogin(join(directory, 'none'), { registry: 'r.example', image: 'web' })
  await expect(missing).rejects.toMatchObject({ code: 'BAD_AUTH_FILE', cause: { code: 'ENOENT' } })
})
