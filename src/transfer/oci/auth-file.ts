/**
 * Users and passwords of registries, from a file as `docker login` and `skopeo login` write it (containers-auth.json,
 * docker's config.json). Programs that such files can name for asking are never started.
 */
import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import { NspawnError } from '../../errors.ts'
import type { ImageLocation } from './registry-files.ts'

export interface Login {
  readonly user: string
  readonly password: string
}

const maxBytes = 1024 * 1024

const entry = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
})

const file = z.object({
  auths: z.record(z.string(), entry).default({}),
  credHelpers: z.record(z.string(), z.string()).default({}),
  credsStore: z.string().optional(),
})

/**
 * Who the user is at the registry of an image: of the entries that fit, the one that says most of the path counts.
 *
 * @param path absolute
 * @returns undefined when the file says nothing about the registry
 * @throws NspawnError `BAD_AUTH_FILE`
 * @see containers-auth.json(5)
 */
export async function findLogin(
  path: string,
  location: Pick<ImageLocation, 'registry' | 'image'>,
): Promise<Login | undefined> {
  const { auths, credHelpers, credsStore } = await readAuthFile(path)
  const places = placesOf(location)
  const found = Object.entries(auths)
    .map(([key, value]) => ({ rank: places.indexOf(placeOfKey(key)), value }))
    .filter(({ rank, value }) => rank >= 0 && Object.values(value).some((text) => text !== ''))
    .toSorted((a, b) => a.rank - b.rank)[0]
  if (found !== undefined) return loginOf(found.value, path, location.registry)
  const helper = Object.keys(credHelpers).some((key) => placeOfKey(key) === location.registry)
  if (!helper && credsStore === undefined) return undefined
  throw bad(
    path,
    `it leaves the login at ${location.registry} to a credential helper`,
    'write user and password into a file of your own, as skopeo login --authfile does',
  )
}

async function readAuthFile(path: string): Promise<z.infer<typeof file>> {
  let text: string
  try {
    if ((await stat(path)).size > maxBytes) throw bad(path, `it has more than ${maxBytes} bytes`)
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof NspawnError) throw error
    const { code, syscall } = error as NodeJS.ErrnoException
    const cause = new NspawnError('it cannot be read', {
      code: code ?? 'EIO',
      operation: syscall,
      subject: path,
    })
    throw new NspawnError('cannot use the auth file', { code: 'BAD_AUTH_FILE', cause })
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // What the parser says quotes the text, and here the text is secret.
    throw bad(path, 'it is not JSON')
  }
  const { data, error } = file.safeParse(json)
  if (data !== undefined) return data
  throw bad(path, `${error.issues[0]?.path.join('.')} is not what it should be`)
}

/** What an entry may be called to fit, the most exact first. */
function placesOf({ registry, image }: Pick<ImageLocation, 'registry' | 'image'>): string[] {
  const parts = image.split('/')
  return Array.from({ length: parts.length + 1 }, (_, n) =>
    [registry, ...parts.slice(0, parts.length - n)].join('/'),
  )
}

/** Docker's keys are URLs, with the version of an interface that nobody speaks any more. */
function placeOfKey(key: string): string {
  const place = key
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/$/, '')
  return place.replace(/^(?:index|registry-1)\.docker\.io/, 'docker.io')
}

function loginOf(value: z.infer<typeof entry>, path: string, registry: string): Login {
  if (value.identitytoken !== undefined && value.identitytoken !== '') {
    throw bad(
      path,
      `its entry for ${registry} has an identity token`,
      'only user and password can be used',
    )
  }
  const { username, password } = value
  if (username !== undefined && password !== undefined) return { user: username, password }
  const pair = Buffer.from(value.auth ?? '', 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon < 1) throw bad(path, `its entry for ${registry} has no user and password`)
  return { user: pair.slice(0, colon), password: pair.slice(colon + 1).replace(/\0+$/, '') }
}

function bad(path: string, why: string, hint?: string): NspawnError {
  return new NspawnError(`cannot use the auth file: ${why}`, {
    code: 'BAD_AUTH_FILE',
    operation: 'read auth file',
    subject: path,
    hint,
  })
}
