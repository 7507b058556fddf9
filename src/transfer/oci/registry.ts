/** A registry, as far as pulling needs it: documents by tag or digest, and blobs by digest, checked as they come in. */
import { NspawnError } from '../../errors.ts'
import type { LogSink } from '../../log.ts'
import { download, fetchTyped } from '../download.ts'
import { withoutSecrets } from '../url.ts'
import { digestOf, hexOf, type Digest } from './digest.ts'
import {
  DOCUMENT_MAX_BYTES,
  parseDocument,
  type Descriptor,
  type Index,
  type Manifest,
  type Platform,
} from './documents.ts'
import { documentTypes } from './media-types.ts'
import { choosePlatform } from './platform.ts'
import type { RegistryAuthority } from './registry-authority.ts'
import type { ImageLocation } from './registry-files.ts'

/** Indexes may name indexes; nobody needs more than one in another. */
const indexDepthMax = 2

export interface TransferLimits {
  readonly retries: number | undefined
  readonly stallMs: number | undefined
  readonly bytesPerSecond: number | undefined
}

export interface FoundManifest {
  readonly manifest: Manifest
  /** Of the manifest itself. */
  readonly digest: Digest
  /** Whether an index was asked which manifest is for the platform. */
  readonly fromIndex: boolean
}

export class Registry {
  private readonly location: ImageLocation
  private readonly authority: RegistryAuthority
  private readonly limits: TransferLimits
  private readonly signal: AbortSignal | undefined

  constructor(
    location: ImageLocation,
    authority: RegistryAuthority,
    limits: TransferLimits,
    signal: AbortSignal | undefined,
  ) {
    this.location = location
    this.authority = authority
    this.limits = limits
    this.signal = signal
  }

  /**
   * The manifest of the image for a platform; indexes are followed.
   *
   * @throws NspawnError what `parseDocument()` and `choosePlatform()` throw, `CHECKSUM_MISMATCH`, `SIZE_MISMATCH`, or
   *   the network's
   */
  async findManifest(wanted: Platform): Promise<FoundManifest> {
    const { tag, digest } = this.location
    let document = await this.document(digest ?? tag, digest, undefined)
    for (let depth = 0; document.content.kind === 'index'; depth++) {
      if (depth >= indexDepthMax) {
        throw new NspawnError('the image is an index of indexes of indexes', {
          code: 'BAD_MANIFEST',
          operation: 'read index',
        })
      }
      const entry = choosePlatform(document.content.entries, wanted)
      document = await this.document(entry.digest, entry.digest, entry.sizeBytes)
      if (document.content.kind === 'manifest')
        return { manifest: document.content, digest: document.digest, fromIndex: true }
    }
    return { manifest: document.content, digest: document.digest, fromIndex: false }
  }

  /** A small blob, from the descriptor itself where it carries it. */
  async blob(descriptor: Descriptor): Promise<Buffer> {
    if (descriptor.sizeBytes > DOCUMENT_MAX_BYTES) {
      throw new NspawnError(`the image configuration has more than ${DOCUMENT_MAX_BYTES} bytes`, {
        code: 'TOO_LARGE',
        operation: 'read manifest',
      })
    }
    if (descriptor.data !== undefined)
      return requireDigest(descriptor.data, descriptor.digest, descriptor.sizeBytes, 'manifest')
    const url = this.url('blobs', descriptor.digest)
    const { bytes } = await fetchTyped({
      url,
      maxBytes: descriptor.sizeBytes,
      authority: this.authority,
      signal: this.signal,
      ...this.limits,
    })
    return requireDigest(bytes, descriptor.digest, descriptor.sizeBytes, withoutSecrets(url))
  }

  /** Any blob into a file, which is there only when size and hash are right. */
  async download({ digest, sizeBytes }: Descriptor, path: string, log: LogSink): Promise<void> {
    await download({
      url: this.url('blobs', digest),
      destination: path,
      sha256: hexOf(digest),
      sizeBytes,
      authority: this.authority,
      signal: this.signal,
      log,
      ...this.limits,
    })
  }

  private async document(
    name: string,
    digest: Digest | undefined,
    sizeBytes: number | undefined,
  ): Promise<{ readonly content: Index | Manifest; readonly digest: Digest }> {
    const url = this.url('manifests', name)
    const { bytes, contentType } = await fetchTyped({
      url,
      maxBytes: DOCUMENT_MAX_BYTES,
      accept: documentTypes,
      authority: this.authority,
      signal: this.signal,
      ...this.limits,
    })
    if (digest !== undefined) requireDigest(bytes, digest, sizeBytes, withoutSecrets(url))
    return { content: parseDocument(bytes, contentType), digest: digestOf(bytes) }
  }

  private url(kind: 'manifests' | 'blobs', name: string): URL {
    const { protocol, server, image } = this.location
    return new URL(`${protocol}://${server}/v2/${image}/${kind}/${name}`)
  }
}

function requireDigest(
  bytes: Buffer,
  digest: Digest,
  sizeBytes: number | undefined,
  subject: string,
): Buffer {
  const found = digestOf(bytes)
  if (sizeBytes !== undefined && bytes.length !== sizeBytes) {
    throw new NspawnError(`it has ${bytes.length} bytes where ${sizeBytes} were promised`, {
      code: 'SIZE_MISMATCH',
      operation: 'check size',
      subject,
    })
  }
  if (found === digest) return bytes
  throw new NspawnError(`its digest is ${found}, promised was ${digest}`, {
    code: 'CHECKSUM_MISMATCH',
    operation: 'check sha256',
    subject,
    hint: 'the registry sent something else than was asked for: try again, or another registry',
  })
}
