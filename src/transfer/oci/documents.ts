/**
 * The three JSON documents of an image: the index that names a manifest for each platform, the manifest that names
 * configuration and layers, and the configuration. Registries are strangers: all of it is checked before it is used.
 */
import { z } from 'zod'
import { NspawnError } from '../../errors.ts'
import { parseDigest, type Digest } from './digest.ts'
import { documentKind, requireConfigType, requireLayerType, schema1Refused } from './media-types.ts'

/** What the OCI specification lets registries refuse to store. */
export const DOCUMENT_MAX_BYTES = 4 * 1024 * 1024
const layersMax = 4096

/** Content by its name. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly sizeBytes: number
  /** The content itself, unchecked, where the descriptor carries it. */
  readonly data: Buffer | undefined
}

export interface Platform {
  readonly os: string
  /** Go's name: `amd64`. */
  readonly architecture: string
  readonly variant: string | undefined
}

export interface IndexEntry extends Descriptor {
  readonly platform: Platform | undefined
}

export interface Manifest {
  readonly kind: 'manifest'
  readonly config: Descriptor
  /** From the lowest on. */
  readonly layers: readonly Descriptor[]
}

export interface Index {
  readonly kind: 'index'
  readonly entries: readonly IndexEntry[]
}

const platform = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
})

const descriptor = z.object({
  mediaType: z.string(),
  digest: z.string(),
  size: z.int().min(0),
  data: z.string().optional(),
})

const index = z.object({
  manifests: z.array(descriptor.extend({ platform: platform.nullish() })),
})

const manifest = z.object({ config: descriptor, layers: z.array(descriptor) })

const head = z.object({
  schemaVersion: z.int(),
  mediaType: z.string().optional(),
  manifests: z.unknown().optional(),
  layers: z.unknown().optional(),
  config: z.unknown().optional(),
})

/**
 * What a registry has under a tag or digest.
 *
 * @param contentType what the server calls it; the document's own word counts more, but must not be another
 * @throws NspawnError `BAD_MANIFEST`, `UNSUPPORTED_IMAGE`
 * @see OCI image specification, image-index.md and manifest.md
 */
export function parseDocument(
  bytes: Uint8Array,
  contentType: string | undefined,
): Index | Manifest {
  const json = parseJson(bytes, 'manifest')
  const top = checked(head, json, 'manifest')
  if (top.schemaVersion === 1) throw schema1Refused()
  if (top.schemaVersion !== 2) throw bad(`schemaVersion ${top.schemaVersion} is not known`)
  const saidByServer = documentKind(contentType ?? '')
  const said = documentKind(top.mediaType ?? '')
  const [isIndex, isManifest] = [
    top.manifests !== undefined,
    top.layers !== undefined || top.config !== undefined,
  ]
  // Two readers of one document must not see two images in it.
  if (isIndex === isManifest)
    throw bad('it is not either an index of manifests or the manifest of an image')
  const kind = isIndex ? 'index' : 'manifest'
  if ((said ?? kind) !== kind || (saidByServer ?? kind) !== kind)
    throw bad('it is not what its media type says')
  return kind === 'index' ? toIndex(json) : toManifest(json)
}

function toIndex(json: unknown): Index {
  const { manifests } = checked(index, json, 'index')
  return {
    kind: 'index',
    entries: manifests.map((one) => ({
      ...toDescriptor(one),
      platform:
        one.platform === null || one.platform === undefined
          ? undefined
          : { ...one.platform, variant: one.platform.variant },
    })),
  }
}

function toManifest(json: unknown): Manifest {
  const { config, layers } = checked(manifest, json, 'manifest')
  requireConfigType(config.mediaType)
  if (layers.length === 0) throw bad('it has no layers')
  if (layers.length > layersMax) throw bad(`it has more than ${layersMax} layers`)
  for (const { mediaType } of layers) requireLayerType(mediaType)
  return { kind: 'manifest', config: toDescriptor(config), layers: layers.map(toDescriptor) }
}

function toDescriptor({ mediaType, digest, size, data }: z.infer<typeof descriptor>): Descriptor {
  return {
    mediaType,
    digest: parseDigest(digest),
    sizeBytes: size,
    data: data === undefined ? undefined : Buffer.from(data, 'base64'),
  }
}

const strings = z.array(z.string()).nullish()

const imageConfig = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(z.string()) }),
  config: z
    .object({
      User: z.string().nullish(),
      Env: strings,
      Entrypoint: strings,
      Cmd: strings,
      WorkingDir: z.string().nullish(),
      StopSignal: z.string().nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
})

/** How the image wants to be run. */
export interface Execution {
  /** `USER[:GROUP]`, names or numbers; empty for root. */
  readonly user: string
  readonly environment: readonly string[]
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly workingDirectory: string
  readonly stopSignal: string | undefined
  /** `80/tcp`, `53/udp`, `8000-8010/tcp`, `80`. */
  readonly ports: readonly string[]
}

export interface ImageConfig {
  readonly platform: Platform
  /** Of the layers without compression, in their order. */
  readonly diffIds: readonly Digest[]
  readonly execution: Execution
}

/**
 * @throws NspawnError `BAD_IMAGE_CONFIG`
 * @see OCI image specification, config.md
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const what = 'image configuration'
  const { os, architecture, variant, rootfs, config } = checked(
    imageConfig,
    parseJson(bytes, what),
    what,
  )
  return {
    platform: { os, architecture, variant },
    diffIds: rootfs.diff_ids.map(parseDigest),
    execution: {
      user: config?.User ?? '',
      environment: config?.Env ?? [],
      entrypoint: config?.Entrypoint ?? [],
      command: config?.Cmd ?? [],
      workingDirectory: config?.WorkingDir ?? '',
      stopSignal: config?.StopSignal ?? undefined,
      ports: Object.keys(config?.ExposedPorts ?? {}),
    },
  }
}

type What = 'manifest' | 'index' | 'image configuration'

function parseJson(bytes: Uint8Array, what: What): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw bad('it is not JSON', what)
  }
}

function checked<T>(schema: z.ZodType<T>, json: unknown, what: What): T {
  const { data, error } = schema.safeParse(json)
  if (data !== undefined) return data
  const [issue] = error?.issues ?? []
  const place = issue?.path.map(String).join('.') ?? ''
  throw bad(`${place === '' ? 'it' : place.slice(0, 100)} is not what it should be`, what)
}

function bad(why: string, what: What = 'manifest'): NspawnError {
  return new NspawnError(`cannot use the ${what}: ${why}`, {
    code: what === 'image configuration' ? 'BAD_IMAGE_CONFIG' : 'BAD_MANIFEST',
    operation: `read ${what}`,
  })
}
