import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { ociFields } from '../../../../src/settings/oci/fields.ts'
import { ociPage } from '../../../../src/settings/oci/page.ts'
import { configSchema } from '../../../../src/settings/oci/schema.ts'
import { leavesOf } from '../../../fixtures/json-schema.ts'

test('docs/oci.md is what the table says', () => {
  const page = readFileSync(new URL('../../../../docs/oci.md', import.meta.url), 'utf8')
  expect(page, 'run: npm run docs').toBe(ociPage())
})

test('the table says of each field that is taken what it sets, and of no other', () => {
  const schema = z.toJSONSchema(configSchema, { unrepresentable: 'any' })
  const taken = ociFields.flatMap(({ path, sets }) => (sets === undefined ? [] : [path]))
  expect(taken.toSorted()).toEqual([...leavesOf(schema)].toSorted())
})

test('each field is there once', () => {
  const paths = ociFields.map(({ path }) => path)
  expect(new Set(paths).size).toBe(paths.length)
})
