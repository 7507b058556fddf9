import { describe, expect, test } from 'vitest'
import { unescapeBytes } from '../../../../src/settings/values/c-escapes.ts'
import {
  parseLoadCredential,
  parseSetCredential,
} from '../../../../src/settings/values/credential.ts'

const text = (value: string) => {
  const bytes = unescapeBytes(value)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1')
}

describe('the escapes of C', () => {
  test.each<[string, string]>([
    ['', ''],
    ['plain', 'plain'],
    ['\\a\\b\\f\\n\\r\\s\\t\\v', '\x07\b\f\n\r \t\v'],
    [`\\\\\\"\\'`, `\\"'`],
    ['\\x41\\xff\\x00', 'A\xff\0'],
    ['\\101\\377\\000', 'A\xff\0'],
    ['\\u00e4', '\xc3\xa4'],
    ['\\U0001F600', '\xf0\x9f\x98\x80'],
    ['\\u0000', '\0'],
    ['ä\\n', '\xc3\xa4\n'],
    ['a\\\\nb', 'a\\nb'],
  ])('%j', (written, bytes) => expect(text(written)).toBe(bytes))

  test.each(['\\', 'a\\', '\\q', '\\e', '\\x4', '\\xg0', '\\400', '\\08', '\\u12', '\\U00110000'])(
    '%j means nothing',
    (written) => expect(text(written)).toBeUndefined(),
  )
})

const caller = (env: Record<string, string> = {}) => ({ cwd: '/home/me', env })

test('a value is kept as bytes, colons included', () => {
  expect(parseSetCredential('a.b@c:x:y\\x00')).toEqual({
    name: 'a.b@c',
    source: { kind: 'value', base64: Buffer.from('x:y\0').toString('base64') },
  })
})

test.each(['', 'a', ':x', '.:x', '..:x', 'a/b:x', 'é:x', 'a\nb:x', `${'x'.repeat(256)}:x`])(
  '%j names no credential',
  (value) => {
    expect(() => parseSetCredential(value)).toThrow(/credential|is not a name/)
    expect(() => parseLoadCredential(value, caller())).toThrow(/credential|is not a name/)
  },
)

test('a path is taken against the current directory, a name against what the caller was given', () => {
  const path = (value: string, env?: Record<string, string>) =>
    parseLoadCredential(value, caller(env)).source
  expect(path('a:/etc//x')).toEqual({ kind: 'file', path: '/etc/x' })
  expect(path('a:./x:y')).toEqual({ kind: 'file', path: '/home/me/x:y' })
  expect(path('a:x', { CREDENTIALS_DIRECTORY: '/run/c' })).toEqual({
    kind: 'file',
    path: '/run/c/x',
  })
})

test('without credentials of the caller a bare name is refused', () => {
  expect(() => parseLoadCredential('a:x', caller())).toThrow('no credentials were passed')
  expect(() => parseLoadCredential('a:x', caller({ CREDENTIALS_DIRECTORY: 'relative' }))).toThrow(
    'no credentials were passed',
  )
  expect(() => parseLoadCredential('a:', caller())).toThrow('neither a path')
})
