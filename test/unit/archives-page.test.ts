import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { archivesPage } from '../fixtures/archives/page.ts'

test('docs/archives.md lists exactly the archives that are tested (npm run docs)', () => {
  const page = new URL('../../docs/archives.md', import.meta.url)
  expect(readFileSync(page, 'utf8')).toBe(archivesPage())
})
