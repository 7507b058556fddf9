import { expect, test } from 'vitest'
import { shownName } from '../../src/shown-name.ts'

test('names are shown without what a terminal would obey', () => {
  expect(shownName('a\x1b[31m\n\xc3\xa9')).toBe('a\\u001b[31m\\né')
})
