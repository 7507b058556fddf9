import { describe, expect, test } from 'vitest'
import { settingsFileText } from '../../../../src/settings/file/write.ts'

const write = (...settings: Parameters<typeof settingsFileText>[1][number][1]) =>
  settingsFileText('Made by a test.', [['Exec', settings]])

test('words are quoted where need be, and sections without settings left out', () => {
  const text = settingsFileText('Made by a test.', [
    [
      'Exec',
      [
        { key: 'Boot', value: 'no' },
        { key: 'Parameters', words: ['/bin/a', 'b c', '', `"'`, '\\'] },
      ],
    ],
    ['Files', []],
    ['Network', [{ key: 'Private', value: 'yes' }]],
  ])
  expect(text).toBe(
    [
      '# Made by a test.',
      '',
      '[Exec]',
      'Boot=no',
      `Parameters=/bin/a "b c" "" '"'"'" "\\"`,
      '',
      '[Network]',
      'Private=yes',
      '',
    ].join('\n'),
  )
})

describe('what would be read as something else is refused', () => {
  test.each([
    ['no value', ''],
    ['a blank before it', ' x'],
    ['a blank behind it', 'x\t'],
    ['a backslash at its end', 'x\\'],
    ['a line end', 'x\ny'],
    ['half a character', '\udc00'],
    ['more than a file may have', 'x'.repeat(1 << 16)],
  ])('%s', (_what, value) => {
    expect(() => write({ key: 'User', value })).toThrow(
      expect.objectContaining({ code: 'BAD_SETTING' }),
    )
  })

  test('a comment that ends its line', () => {
    expect(() => settingsFileText('one\nBoot=yes', [])).toThrow(/control characters/)
  })
})
