import { expect, test } from 'vitest'
import { requiresSpec } from '../../../../src/build/rpm/requires-package.ts'

test('the package requires and conflicts with what the build does, and no macro is in it', () => {
  const lines = requiresSpec({ requires: ['a >= 2', '(b or c%x)'], conflicts: ['d'] }).split('\n')
  expect(lines).toContain('Requires: a >= 2')
  expect(lines).toContain('Requires: (b or c%%x)')
  expect(lines).toContain('Conflicts: d')
})
