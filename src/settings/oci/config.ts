/** From the bytes of a `config.json` to what is known to make sense, field by field. */
import type { z } from 'zod'
import { NspawnError } from '../../errors.ts'
import { nearest } from '../nearest.ts'
import { ociFields } from './fields.ts'
import { configSchema, type Config } from './schema.ts'

/** A bundle as it was found. */
export interface BundleText {
  /** The bundle, absolute. */
  readonly directory: string
  /** Of its `config.json`. */
  readonly path: string
  readonly bytes: Uint8Array
}

/**
 * @throws NspawnError with the path of the field: `BAD_BUNDLE`; `NOT_SUPPORTED` for a field of the specification that
 *   is refused
 */
export function parseConfig({ path, bytes }: BundleText): Config {
  const value = parseJson(path, bytes)
  const checked = configSchema.safeParse(value)
  if (checked.success) return checked.data
  const { issues } = checked.error
  // A field with a slip in its name is missing, too.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
  if (issue.code === 'unrecognized_keys') throw unknownField(path, issue.path, issue.keys)
  const missing = valueAt(value, issue.path) === undefined
  throw badBundle(path, issue.path, missing ? 'it is missing' : issue.message)
}

/** What is wrong with one field. */
export function badBundle(
  path: string,
  field: readonly PropertyKey[],
  what: string,
  hint?: string,
): NspawnError {
  const name = fieldName(field)
  return new NspawnError(`${path}: ${name === '' ? '' : `${name}: `}${what}`, {
    code: 'BAD_BUNDLE',
    hint,
  })
}

function parseJson(path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes))
  } catch (error) {
    throw new NspawnError(`${path} is no JSON: ${(error as Error).message}`, {
      code: 'BAD_BUNDLE',
      hint: 'runc spec and crun spec write one to begin with',
    })
  }
}

function unknownField(
  path: string,
  above: readonly PropertyKey[],
  [key = '']: readonly string[],
): NspawnError {
  const field = [...above, key]
  const general = generalName(field)
  const known = ociFields.find((row) => row.path === general && row.refused !== undefined)
  if (known !== undefined) {
    return new NspawnError(`${path}: ${fieldName(field)} is not supported: ${known.refused}`, {
      code: 'NOT_SUPPORTED',
      hint: 'docs/oci.md lists what is',
    })
  }
  const guess = nearest(key, siblings(generalName(above)))
  return badBundle(
    path,
    field,
    'there is no such field',
    guess === undefined ? 'docs/oci.md lists the fields' : `did you mean ${guess}?`,
  )
}

/** The names of the fields right below one. */
function siblings(above: string): ReadonlySet<string> {
  const prefix = above === '' ? '' : `${above}.`
  const below = ociFields.filter(({ path }) => path.startsWith(prefix))
  return new Set(below.map(({ path }) => path.slice(prefix.length).split(/[.[]/)[0] ?? ''))
}

/** As people write it: `mounts[2].type`. */
function fieldName(field: readonly PropertyKey[]): string {
  return field
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${shown(String(part))}`))
    .join('')
    .replace(/^\./, '')
}

/** As the table writes it: `mounts[].type`. */
function generalName(field: readonly PropertyKey[]): string {
  return fieldName(field).replace(/\[\d+\]/g, '[]')
}

/** A name may be anything, and is shown on a terminal. */
function shown(name: string): string {
  return /^[\w./-]{1,100}$/.test(name) ? name : JSON.stringify(name.slice(0, 100))
}

function valueAt(value: unknown, field: z.core.$ZodIssue['path']): unknown {
  let at = value
  for (const part of field) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = (at as Record<PropertyKey, unknown>)[part]
  }
  return at
}
