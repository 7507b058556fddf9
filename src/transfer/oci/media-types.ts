/** What the documents and layers of an image may be called, in OCI's words and in Docker's, which came first. */
import { NspawnError } from '../../errors.ts'

const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]
const configTypes = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]
const layerTypes = [
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
]
/** To be fetched from elsewhere, under conditions of somebody else. */
const foreignLayer =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1\.|docker\.image\.rootfs\.foreign\.)/
const schema1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+/
/** Servers that know no better; the document itself has to tell. */
const saysNothing = new Set(['application/json', 'application/octet-stream', 'text/plain', ''])

/** What is asked for in place of a tag. */
export const documentTypes: readonly string[] = [...manifestTypes, ...indexTypes]

/**
 * @returns undefined when the type leaves it open
 * @throws NspawnError `UNSUPPORTED_IMAGE`
 */
export function documentKind(mediaType: string): 'index' | 'manifest' | undefined {
  if (indexTypes.includes(mediaType)) return 'index'
  if (manifestTypes.includes(mediaType)) return 'manifest'
  if (saysNothing.has(mediaType)) return undefined
  if (schema1.test(mediaType)) throw schema1Refused()
  throw unsupported(`a document of type ${shown(mediaType)} is no image`)
}

export function schema1Refused(): NspawnError {
  return unsupported(
    'the image is in the first format of Docker (schema 1), which names no checked contents',
    'push it again with a tool of this decade',
  )
}

/** @throws NspawnError `UNSUPPORTED_IMAGE` for things that registries keep beside images */
export function requireConfigType(mediaType: string): void {
  if (configTypes.includes(mediaType)) return
  throw unsupported(`it is no image of an OS tree: its configuration is ${shown(mediaType)}`)
}

/** @throws NspawnError `UNSUPPORTED_IMAGE` for every layer that cannot be unpacked; none is passed over */
export function requireLayerType(mediaType: string): void {
  if (layerTypes.includes(mediaType)) return
  if (foreignLayer.test(mediaType)) {
    throw unsupported(
      `a layer of type ${shown(mediaType)} is not distributed with the image`,
      'it belongs to another vendor, and would have to be fetched from there',
    )
  }
  throw unsupported(`a layer of type ${shown(mediaType)} cannot be unpacked`)
}

function unsupported(message: string, hint?: string): NspawnError {
  return new NspawnError(message, { code: 'UNSUPPORTED_IMAGE', operation: 'read manifest', hint })
}

/** Text of a registry for a message. */
function shown(mediaType: string): string {
  return `"${mediaType.slice(0, 120).replaceAll(/[^\x20-\x7e]/g, '?')}"`
}
