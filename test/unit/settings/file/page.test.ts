import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { settingsFilesPage } from '../../../../src/settings/file/page.ts'

test('docs/settings-files.md is what the keys say', () => {
  const page = readFileSync(new URL('../../../../docs/settings-files.md', import.meta.url), 'utf8')
  expect(page, 'run: npm run docs').toBe(settingsFilesPage())
})
