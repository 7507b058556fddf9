import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkNames } from '../../../../src/bootstrap/customize/known-names.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'names-'))
  writeFileSync(join(directory, 'Nowhere'), '')
  writeFileSync(join(directory, 'SUPPORTED'), 'de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\n')
})
afterAll(() => rmSync(directory, { recursive: true }))

const check = (timezone: string | undefined, locale: string | undefined, list = 'SUPPORTED') =>
  checkNames({ timezone, locale }, { zones: directory, locales: join(directory, list) })
const thrown = (work: () => void): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

test('a zone of this host counts, and one that Node.js knows; for others the nearest is named', () => {
  check('Nowhere', undefined)
  check('Europe/Berlin', undefined)
  expect(thrown(() => check('Europe/Berln', undefined))).toMatchObject({
    code: 'USAGE',
    hint: 'perhaps Europe/Berlin was meant',
  })
})

test("a locale is looked up in glibc's list, however its character set is written", () => {
  check(undefined, 'de_DE.utf8')
  check(undefined, 'de_DE')
  expect(thrown(() => check(undefined, 'de_DR.UTF-8'))).toMatchObject({
    code: 'USAGE',
    hint: 'perhaps de_DE.UTF-8 was meant',
  })
})

test('without that list a language and a country must be ones that there are', () => {
  check(undefined, 'fr_FR.UTF-8', 'gone')
  check(undefined, 'eo', 'gone')
  for (const locale of ['xq_FR.UTF-8', 'fr_XQ.UTF-8'])
    expect(() => check(undefined, locale, 'gone')).toThrow(`no locale called ${locale}`)
})
