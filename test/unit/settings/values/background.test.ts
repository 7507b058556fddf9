import { expect, test } from 'vitest'
import { parseBackground } from '../../../../src/settings/values/background.ts'

test.each(['40', '47', '49', '100', '107', '48;5;17', '48:5:255', '48;2;0;0;80', '48:2::0:0:80'])(
  '%s is a background',
  (text) => expect(parseBackground(text)).toBe(text),
)

test.each([
  ...[
    '0',
    '7',
    '31',
    '48',
    '50',
    '99',
    '108',
    '44;1',
    '44m',
    ' 44',
    '48;5',
    '48;5;256',
    '48;5:1',
    '48;2;0;0:0',
  ],
  ...['48;2;0;0', '48;2;0;0;256', '38;5;1', '\u001b[44m', 'blue', `48;5;${'0'.repeat(40)}1`],
])('%j is none', (text) => {
  expect(() => parseBackground(text)).toThrow('is not an ANSI background colour')
})
