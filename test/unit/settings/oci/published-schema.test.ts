/** The reader held to the schema that the specification publishes, as Debian packages it. */
import draft04 from 'ajv-draft-04'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { ociFields } from '../../../../src/settings/oci/fields.ts'
import { parseBundle } from '../../../../src/settings/oci/bundle.ts'
import { leavesOf, type JsonSchema } from '../../../fixtures/json-schema.ts'
import { bundleMutations, wholeBundle } from '../../../fixtures/oci-bundle.ts'
import { lacks } from '../../../fixtures/requires.ts'

const directory = '/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema'
const files = ['config-schema', 'defs', 'config-linux', 'defs-linux', 'config-solaris', 'config-vm']
const moreFiles = ['defs-vm', 'config-windows', 'defs-windows', 'config-zos', 'defs-zos']

type Schemas = ReadonlyMap<string, JsonSchema>

function readSchemas(): Schemas {
  return new Map(
    [...files, ...moreFiles].map((name) => {
      const text = readFileSync(join(directory, `${name}.json`), 'utf8')
      return [`${name}.json`, JSON.parse(text) as JsonSchema]
    }),
  )
}

/** Each part with the file that it stands in, since references count from there. */
function located(schemas: Schemas): (ref: string, from: JsonSchema) => JsonSchema {
  const home = new Map<unknown, string>()
  const visit = (node: unknown, file: string): void => {
    if (typeof node !== 'object' || node === null) return
    home.set(node, file)
    for (const below of Object.values(node)) visit(below, file)
  }
  for (const [file, schema] of schemas) visit(schema, file)
  return (ref, from) => {
    const [file = '', pointer = ''] = ref.split('#')
    let at: unknown = schemas.get(file === '' ? (home.get(from) as string) : basename(file))
    for (const part of pointer.split('/').filter((one) => one !== ''))
      at = (at as Record<string, unknown>)[part]
    return at as JsonSchema
  }
}

function isTaken(config: unknown): boolean {
  try {
    const bytes = Buffer.from(JSON.stringify(config))
    parseBundle({ directory: '/b', path: '/b/config.json', bytes })
    return true
  } catch (error) {
    if (error instanceof NspawnError) return false
    throw error
  }
}

describe.skipIf(lacks(`file:${directory}/config-schema.json`))('the published schema', () => {
  test('knows no field that docs/oci.md says nothing of', () => {
    const schemas = readSchemas()
    const leaves = leavesOf(schemas.get('config-schema.json'), located(schemas))
    expect(leaves.size).toBeGreaterThan(100)
    const unknown = [...leaves].filter(
      (path) =>
        !ociFields.some(
          (row) =>
            row.path === path ||
            (row.refused !== undefined &&
              /^[.[]/.test(path.slice(row.path.length)) &&
              path.startsWith(row.path)),
        ),
    )
    expect(unknown).toEqual([])
  })

  test('allows whatever is taken', () => {
    const validator = new draft04.default({
      strict: false,
      validateFormats: false,
      allErrors: false,
    })
    for (const [name, schema] of readSchemas()) validator.addSchema(schema, name)
    const validate = validator.getSchema('config-schema.json')
    if (validate === undefined) throw new Error('no schema')
    expect(validate(wholeBundle), JSON.stringify(validate.errors)).toBe(true)
    const wrong: unknown[] = []
    let taken = 0
    for (const config of bundleMutations(3, 6000)) {
      if (!isTaken(config)) continue
      taken++
      if (validate(config) !== true) wrong.push([validate.errors?.[0], config])
    }
    expect(taken).toBeGreaterThan(500)
    expect(wrong.slice(0, 3)).toEqual([])
  })
})
