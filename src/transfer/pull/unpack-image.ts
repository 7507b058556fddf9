/** A stream of bytes, compressed or not, becomes what an image is made of. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageStage } from '../../images/new-image.ts'
import { removeTreeGently } from '../../images/remove-tree.ts'
import { makeTreeTop } from '../../images/tree-top.ts'
import type { LogSink } from '../../log.ts'
import { openPlain } from '../decompress.ts'
import { unpackDisk } from '../disk/unpack-disk.ts'
import { liftOsTree } from '../os-tree.ts'
import { unpackTar } from '../tar/unpack.ts'
import type { PullKind } from './address.ts'

export interface UnpackImageOptions {
  /** Of what is unpacked. */
  readonly sizeMaxBytes: number
  readonly signal: AbortSignal
  readonly log: LogSink
}

/**
 * Unpacks a tree or a disk image into its stage; `chunks` are read to their end.
 *
 * @throws NspawnError as `openPlain()`, `unpackTar()`, `unpackDisk()`, and what `chunks` throws; what was unpacked by
 *   then is left
 */
export async function unpackImage(
  kind: PullKind,
  chunks: AsyncIterable<Uint8Array>,
  stage: ImageStage,
  { sizeMaxBytes, signal, log }: UnpackImageOptions,
): Promise<void> {
  if (kind === 'raw') {
    const scratch = join(stage.directory, 'qcow2')
    await unpackDisk(chunks, stage.path, scratch, { signal, limitBytes: sizeMaxBytes })
    return
  }
  const plain = await openPlain(chunks, { signal, chunks: 'lent' })
  await unpackTar(plain.chunks, stage.path, { limits: { bytes: sizeMaxBytes }, signal, log })
  liftOsTree(stage.path, log)
}

/** Takes away what was unpacked so far. */
export async function emptyStage(stage: ImageStage, kind: PullKind): Promise<void> {
  if (kind === 'raw') return rm(stage.path, { force: true })
  await removeTreeGently(stage.path)
  makeTreeTop(stage.path)
}
