import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { options } from '../../src/settings/table.ts'
import { casesByOption } from '../parity/cases/all.ts'
import { notCompared } from '../parity/not-compared.ts'
import { parityPage } from '../parity/page.ts'

test('docs/parity.md lists exactly the cases and differences that are tested (npm run docs)', () => {
  const page = new URL('../../docs/parity.md', import.meta.url)
  expect(readFileSync(page, 'utf8')).toBe(parityPage())
})

test('every option is compared with the original, or it is said why not', () => {
  const compared = new Set(
    [...casesByOption().keys()].flatMap((title) => title.replaceAll('=', '').split(', ')),
  )
  const shown = options.filter(({ hidden, read }) => hidden !== true && read !== undefined)
  const unexplained = shown.filter(({ name, short }) => {
    const isCompared =
      compared.has(`--${name}`) || (name === undefined && compared.has(`-${short}`))
    return isCompared === notCompared.has(name ?? '')
  })
  expect(unexplained.map(({ name, short }) => name ?? short)).toEqual([])
})
