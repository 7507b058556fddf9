import { expect, test } from 'vitest'
import { withoutPasswords } from '../../src/url-secrets.ts'

test.each([
  ['deb https://me:secret@h/debian sid main', 'deb https://h/debian sid main'],
  ['E: http://me@h:8080/x and http://a:b@c/d', 'E: http://h:8080/x and http://c/d'],
  ['{"mirror":"https://me:sec@ret@h"}', '{"mirror":"https://h"}'],
  ['https://h/a@b?c=d@e', 'https://h/a@b?c=d@e'],
  ['file:///srv/a@b mail me@h', 'file:///srv/a@b mail me@h'],
])('%s is shown without what opens the server', (text, shown) => {
  expect(withoutPasswords(text)).toBe(shown)
})
