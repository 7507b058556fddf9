import { expect, test } from 'vitest'
import { parseImageUrl } from '../../../src/transfer/pull/address.ts'
import { identifyingUrl, parseUrl, withoutSecrets } from '../../../src/transfer/url.ts'

const key = (text: string) => identifyingUrl(new URL(text))

test.each([
  ['https://me:pw@h/x.tar?token=abc', 'https://h/x.tar?…'],
  ['https://h/x.tar?token=abc#part', 'https://h/x.tar?…#part'],
  ['https://h/x.tar', 'https://h/x.tar'],
])('%s is shown as %s', (text, shown) => {
  expect(withoutSecrets(new URL(text))).toBe(shown)
})

test('URLs with different queries are told apart, by something that does not say the query', () => {
  expect(key('https://h/x?token=abc')).toMatch(/^https:\/\/h\/x\?[0-9a-f]{32}$/)
  expect(key('https://h/x?token=abc')).not.toBe(key('https://h/x?token=abd'))
  expect(key('https://h/x?token=abc')).toBe(key('https://me@h/x?token=abc'))
  expect(key('https://h/x')).toBe('https://h/x')
})

test.each([
  'https://me:secret@ho st/x',
  'me:secret@host/x',
  'me@secret',
  'ftp://me:secret@host/x?secret',
])('that %s is no URL to fetch from is said without what may be secret', (text) => {
  const said = () => {
    try {
      parseUrl(text)
    } catch (error) {
      return error
    }
    return undefined
  }
  expect(said()).toMatchObject({ code: 'BAD_URL' })
  expect((said() as Error).message).not.toContain('secret')
})

test('nor is it said of one with letters that no address has', () => {
  expect(() => parseImageUrl('https://me:secret@h/ä?secret')).toThrow(
    /^URL "https:\/\/h\/%C3%A4\?…"/,
  )
})
