import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { helpText } from '../../../src/settings/help.ts'
import { optionsPage } from '../../../src/settings/options-page.ts'
import { options } from '../../../src/settings/table.ts'

test('docs/options.md is what the table says', () => {
  const page = readFileSync(new URL('../../../docs/options.md', import.meta.url), 'utf8')
  expect(page, 'run: npm run docs').toBe(optionsPage())
})

test('the page has every option, the refused ones too', () => {
  const page = optionsPage()
  for (const { name, short } of options) {
    expect(page).toContain(name === undefined ? `\`-${short}` : `\`--${name}`)
  }
})

test('--help shows the options that work, in 80 columns', () => {
  const help = helpText()
  for (const { name, hidden, read } of options) {
    if (name === undefined) continue
    const shown = new RegExp(`^ {2}(?:-[A-Za-z]| {2}) --${name}(?![a-z-])`, 'm').test(help)
    expect(shown, name).toBe(read !== undefined && hidden === undefined)
  }
  for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})
