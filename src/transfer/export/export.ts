/** What all exports have in common: the image, its lock, where it goes, a record among the transfers. */
import { realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { CleanupStack } from '../../cleanup.ts'
import { requireImage, type Image } from '../../images/discover.ts'
import { holdImage } from '../../images/lock.ts'
import { silent, type LogSink } from '../../log.ts'
import { compressionByName, type Compression } from '../compress.ts'
import { tellProgress, type TellProgress } from '../local/progress.ts'
import { openOutput, outputDirectories, type LocalOutput } from '../local/output.ts'
import { runTransfer } from '../run-transfer.ts'
import type { TransferType } from '../transfers.ts'

export interface ExportRequest {
  /** Of the image. */
  readonly name: string
  /** A file; `-`, `/dev/stdout` or nothing for standard output. */
  readonly target?: string | undefined
  /** Default: by the name of the file. */
  readonly compression?: Compression | undefined
  /** A machines directory that alone is searched; absolute. */
  readonly machinesOverride?: string | undefined
  /** Instead of the machines directories; absolute. */
  readonly imageRoot?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface ExportedImage {
  readonly name: string
  /** As it was asked for, or `standard output`. */
  readonly target: string
  readonly compression: Compression
  /** Before compression. */
  readonly bytes: number
}

/** What an export's own work is given. */
export interface ExportWork {
  readonly image: Image
  /** Without symlinks. */
  readonly path: string
  readonly compression: Compression
  readonly output: LocalOutput
  readonly cleanup: CleanupStack
  readonly signal: AbortSignal
  readonly log: LogSink
  /** The image is in use by somebody who may change it. */
  readonly inUse: boolean
  readonly progress: TellProgress
}

/**
 * Runs an export: a new file gets its name when `work` is done, and nothing is left of one that fails.
 *
 * @param check refuses images of the wrong kind, before anything is made
 * @param work returns how much it packed
 * @throws NspawnError `IMAGE_NOT_FOUND`, `USAGE`, `CANCELED`, `TRANSFER_CANCELED`, `ENOSPC`, `EPIPE`, what `work` throws
 */
export async function exportImage(
  type: Extract<TransferType, `export-${string}`>,
  request: ExportRequest,
  check: (image: Image) => void,
  work: (work: ExportWork) => Promise<number>,
): Promise<ExportedImage> {
  const { name, target, log = silent } = request
  const image = requireImage(name, request.imageRoot ?? request.machinesOverride)
  check(image)
  const path = realpathSync(image.path)
  const compression = request.compression ?? compressionByName(target ?? '')
  await using cleanup = new CleanupStack()
  const inUse = holdImage(image.path, cleanup)
  const listed = {
    type,
    local: name,
    remote: target ?? 'standard output',
    directories: [dirname(path), ...outputDirectories(target)],
  }
  const run = { ...listed, purpose: `exporting ${name}`, caller: request.signal }
  return await runTransfer(run, cleanup, async (transfer) => {
    const { signal } = transfer
    const output = await openOutput(target, cleanup, log, signal)
    log({
      kind: 'notice',
      text: `Exporting '${image.path}', saving to '${output.name}' with compression '${compression}'.`,
    })
    const progress = tellProgress(run.purpose, transfer.progress, log)
    const facts = { image, path, compression, inUse }
    const bytes = await work({ ...facts, output, cleanup, signal, log, progress })
    await output.publish()
    return { name, target: output.name, compression, bytes }
  })
}

/** Said where the copy that goes out was not made in one moment. */
export function warnOfUse({ image, inUse, log }: ExportWork): void {
  if (!inUse) return
  log({
    kind: 'warning',
    text: `${image.name} is in use: files that are written meanwhile may not fit together`,
  })
}
