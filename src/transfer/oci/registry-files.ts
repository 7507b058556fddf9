/**
 * Where the image of a reference really lies. Administrators and distributions say it in registry files, the same that
 * systemd's importd reads; without one the reference means what it says, over https.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { NspawnError, usageError } from '../../errors.ts'
import { missing } from '../../read-if-there.ts'
import type { Digest } from './digest.ts'
import { isImage, isRegistry, isTag, type ImageReference } from './reference.ts'

export interface ImageLocation {
  readonly protocol: 'https' | 'http'
  /** Whom requests go to, `HOST[:PORT]`. */
  readonly server: string
  /** What the registry is called; logins are kept under this name. */
  readonly registry: string
  readonly image: string
  readonly tag: string
  readonly digest: Digest | undefined
}

export const registryFileDirectories: readonly string[] = [
  '/etc/systemd/oci-registry',
  '/run/systemd/oci-registry',
  '/usr/local/lib/systemd/oci-registry',
  '/usr/lib/systemd/oci-registry',
]

/** The one whose references may leave it out, and whose server is not called as it is. */
const wellKnown = { registry: 'docker.io', server: 'registry-1.docker.io', prefix: 'library/' }

const file = z.object({
  defaultProtocol: z.enum(['https', 'http']).optional(),
  defaultRegistry: z.string().refine(isRegistry, 'not a registry').optional(),
  overrideRegistry: z.string().refine(isRegistry, 'not a registry').optional(),
  overrideImage: z.string().refine(isImage, 'not the name of an image').optional(),
  shortImagePrefix: z.string().optional(),
  defaultTag: z.string().refine(isTag, 'not a tag').optional(),
})

type Rules = z.infer<typeof file>

/**
 * The place of an image.
 *
 * @param transport `plain` speaks http whatever the files say; otherwise that is for registries whose file says so,
 *   and for loopback addresses
 * @throws NspawnError `BAD_REGISTRY_FILE`, `USAGE` when a file names no registry, or makes an invalid name
 * @see importctl(1); the files' keys are those of systemd 260
 */
export function locateImage(
  reference: ImageReference,
  transport: 'secure' | 'plain',
  directories: readonly string[] = registryFileDirectories,
): ImageLocation {
  const specific =
    reference.registry === undefined
      ? `image.${escapeName(reference.image)}`
      : `registry.${escapeName(reference.registry)}`
  const rules = readRules(specific, directories) ?? readRules('default', directories)
  const registry =
    rules?.overrideRegistry ??
    reference.registry ??
    (rules === undefined ? wellKnown.registry : rules.defaultRegistry)
  if (registry === undefined) {
    throw usageError(
      `no registry is known for ${reference.image}`,
      'write REGISTRY/IMAGE, or name a defaultRegistry in default.oci-registry',
    )
  }
  const isWellKnown = registry === wellKnown.registry
  const prefix = rules?.shortImagePrefix ?? (isWellKnown ? wellKnown.prefix : '')
  const written = reference.image.includes('/') ? reference.image : `${prefix}${reference.image}`
  const image = rules?.overrideImage ?? written
  if (!isImage(image)) throw usageError(`the registry file makes "${image}" of ${reference.image}`)
  const protocol = rules?.defaultProtocol ?? (isLoopback(registry) ? 'http' : 'https')
  return {
    protocol: transport === 'plain' ? 'http' : protocol,
    server: isWellKnown ? wellKnown.server : registry,
    registry,
    image,
    tag: reference.tag ?? rules?.defaultTag ?? 'latest',
    digest: reference.digest,
  }
}

/** Whether a `HOST[:PORT]` can only be this host. */
export function isLoopback(server: string): boolean {
  const name = server.replace(/:[0-9]+$/, '')
  return name === 'localhost' || name === '[::1]' || /^127(?:\.[0-9]{1,3}){3}$/.test(name)
}

/** As systemd escapes names in the files' names. */
function escapeName(text: string): string {
  return text.replaceAll(
    /[^A-Za-z0-9._-]/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

function readRules(name: string, directories: readonly string[]): Rules | undefined {
  for (const directory of directories) {
    const path = join(directory, `${name}.oci-registry`)
    let text: string | undefined
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      if (missing(error) === undefined) continue
    }
    return parseRules(path, text ?? '')
  }
  return undefined
}

function parseRules(path: string, text: string): Rules {
  let why: string
  try {
    const { data, error } = file.safeParse(JSON.parse(text))
    if (data !== undefined) return data
    const [issue] = error.issues
    why = `${issue?.path.join('.')}: ${issue?.message.toLowerCase()}`
  } catch (error) {
    why = (error as Error).message.toLowerCase()
  }
  throw new NspawnError(`cannot read the registry file: ${why}`, {
    code: 'BAD_REGISTRY_FILE',
    operation: 'parse JSON',
    subject: path,
  })
}
