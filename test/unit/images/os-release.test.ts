import { expect, test } from 'vitest'
import { parseOsRelease } from '../../../src/images/os-release.ts'

test('takes quotes and escapes off as a shell does', () => {
  const text = [
    '# comment',
    'ID=debian',
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
    "NAME='It''s \\fine'",
    'MIXED=a"b c"\'d\'',
    'ESCAPED="a \\"b\\" \\$c \\d"',
    'BARE=a\\ b',
    'EMPTY=',
    'not an assignment',
    '  INDENTED = x',
    'ID=last',
  ].join('\n')
  expect(parseOsRelease(text)).toEqual({
    ID: 'last',
    PRETTY_NAME: 'Debian GNU/Linux 12 (bookworm)',
    NAME: 'Its \\fine',
    MIXED: 'ab cd',
    ESCAPED: 'a "b" $c \\d',
    BARE: 'a b',
    EMPTY: '',
  })
})
