/** Layers become one tree: each is unpacked on those before it, as soon as it has come. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import type { LogSink } from '../../log.ts'
import { openPlain } from '../decompress.ts'
import { unpackTar } from '../tar/unpack.ts'
import type { Digest } from './digest.ts'
import type { Descriptor } from './documents.ts'

export interface UnpackLayers {
  /** From the lowest on. */
  readonly layers: readonly Descriptor[]
  /** What each is without its compression. */
  readonly diffIds: readonly Digest[]
  /** An empty directory that nobody else writes to. */
  readonly tree: string
  /** Of all plain archives together. */
  readonly maxBytes: number
  /** Resolves to the path of a layer once it is there. */
  readonly wait: (layer: Descriptor) => Promise<string>
  readonly signal: AbortSignal
  readonly log: LogSink
}

/**
 * @throws NspawnError `CHECKSUM_MISMATCH` for a layer that is not the one of the configuration; what `openPlain()`,
 *   `unpackTar()` and `wait()` throw
 */
export async function unpackLayers(request: UnpackLayers): Promise<void> {
  const { layers, diffIds, wait, log } = request
  let left = request.maxBytes
  for (const [n, layer] of layers.entries()) {
    const path = await wait(layer)
    const which = `layer ${n + 1} of ${layers.length}`
    log({ kind: 'step', text: `unpacking ${which}` })
    try {
      left -= await unpackLayer(request, path, diffIds[n], left)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === undefined) throw error
      throw new NspawnError(`cannot unpack ${which} (${layer.digest})`, { code, cause: error })
    }
  }
}

/** @returns the length of the plain archive */
async function unpackLayer(
  { tree, signal, log }: UnpackLayers,
  path: string,
  diffId: Digest | undefined,
  maxBytes: number,
): Promise<number> {
  const hash = createHash('sha256')
  let bytes = 0
  const file = createReadStream(path)
  // Who reads it is told of errors; when nobody does any more, nobody need be.
  file.on('error', () => {})
  try {
    const { chunks } = await openPlain(file, { signal, chunks: 'lent' })
    const hashed = async function* () {
      for await (const chunk of chunks) {
        hash.update(chunk)
        bytes += chunk.length
        yield chunk
      }
    }
    await unpackTar(hashed(), tree, { whiteouts: 'oci', limits: { bytes: maxBytes }, signal, log })
  } finally {
    file.destroy()
  }
  const found = `sha256:${hash.digest('hex')}`
  if (found === diffId) return bytes
  throw new NspawnError(`its digest without compression is ${found}, promised was ${diffId}`, {
    code: 'CHECKSUM_MISMATCH',
    operation: 'check sha256',
    hint: 'the image configuration belongs to another image, or is wrong',
  })
}
