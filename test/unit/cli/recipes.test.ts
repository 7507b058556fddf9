/** What `recipes` prints is read on terminals of 80 columns. */
import { expect, test } from 'vitest'
import { groupReasons } from '../../../src/bootstrap/plan.ts'
import { wrap } from '../../../src/cli/wrap.ts'

test('lines end at blanks before they are too long; only a long word sticks out', () => {
  expect(wrap('one two three', 7)).toEqual(['one two', 'three'])
  expect(wrap('a-very-long-word b', 5)).toEqual(['a-very-long-word', 'b'])
  expect(wrap('', 5)).toEqual([''])
})

test('a reason that several ways have is told once, in the order of the recipe', () => {
  const passed = [
    { id: 'dnf5', reason: 'no key' },
    { id: 'dnf', reason: 'not installed' },
    { id: 'tools:dnf', reason: 'no key' },
  ]
  expect(groupReasons(passed)).toEqual(['dnf5, tools:dnf: no key', 'dnf: not installed'])
})
