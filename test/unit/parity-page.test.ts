import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parityPage } from '../parity/page.ts'

test('docs/parity.md lists exactly the cases and differences that are tested (npm run docs)', () => {
  const page = new URL('../../docs/parity.md', import.meta.url)
  expect(readFileSync(page, 'utf8')).toBe(parityPage())
})
