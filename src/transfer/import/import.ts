/** What all imports have in common: a name, a hidden place, a record among the transfers, an end. */
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError, usageError } from '../../errors.ts'
import { stageImage, type ImageStage, type NewImage } from '../../images/new-image.ts'
import { silent, type LogSink } from '../../log.ts'
import { machinesDirectory } from '../../paths.ts'
import { checkName, classDirectory, type ImageClass } from '../pull/image-class.ts'
import { runTransfer } from '../run-transfer.ts'
import type { TransferType } from '../transfers.ts'
import { isStandard } from '../local/open-file.ts'
import { tellProgress, type TellProgress } from '../local/progress.ts'

export interface ImportRequest {
  /** A file or directory; `-` or `/dev/stdin` for standard input. */
  readonly source: string
  /** Default: from the name of the source. */
  readonly name?: string | undefined
  /** Default `machine`. */
  readonly class?: ImageClass | undefined
  /** Where images of machines live; absolute. Default TSNSPAWN_MACHINES_DIR, else `/var/lib/machines`. */
  readonly machinesDirectory?: string | undefined
  /** Instead of the directory of the class; absolute. */
  readonly imageRoot?: string | undefined
  /** What becomes of an image of that name; default `keep`, and the import is refused. */
  readonly existing?: 'keep' | 'replace' | undefined
  /** Default `read-write`. */
  readonly access?: 'read-only' | 'read-write' | undefined
  /** Whether to have all of the image on the disk before it gets its name; default `yes`. */
  readonly sync?: 'yes' | 'no' | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface ImportedImage {
  readonly name: string
  readonly path: string
  /** A disk's length, or the contents of all files of a tree; undefined where nothing was counted. */
  readonly bytes: number | undefined
}

/** What an import's own work is given. */
export interface ImportWork {
  readonly stage: ImageStage
  /** Of the images that it becomes one of. */
  readonly directory: string
  readonly signal: AbortSignal
  readonly log: LogSink
  readonly progress: TellProgress
}

export interface ImportKind {
  readonly type: Extract<TransferType, `import-${string}`>
  readonly image: 'tree' | 'disk'
  /** The image's name when none was given; from the last part of the source's path. */
  readonly nameFrom: (fileName: string) => string
}

/**
 * Runs an import: the image gets its name when `work` is done, and nothing is left of one that fails.
 *
 * @param name from `importedName()`
 * @param work fills the stage, and returns how much there was
 * @throws NspawnError `IMAGE_EXISTS`, `EBUSY`, `CANCELED`, `TRANSFER_CANCELED`, what `work` throws
 */
export async function importImage(
  kind: ImportKind,
  name: string,
  request: ImportRequest,
  work: (work: ImportWork) => Promise<number | undefined>,
): Promise<ImportedImage> {
  const log = request.log ?? silent
  const source = isStandard(request.source, 'stdin') ? 'standard input' : request.source
  const directory =
    request.imageRoot ??
    classDirectory(request.class ?? 'machine', machinesDirectory(request.machinesDirectory))
  await using cleanup = new CleanupStack()
  const image: NewImage = {
    directory,
    name,
    kind: kind.image,
    existing: request.existing ?? 'keep',
    access: request.access ?? 'read-write',
    sync: request.sync ?? 'yes',
  }
  const listed = { type: kind.type, local: name, remote: source, directories: [directory] }
  const run = { ...listed, purpose: `importing ${name}`, caller: request.signal }
  return await runTransfer(run, cleanup, async ({ signal, progress }) => {
    // After the transfer is listed, so that what waits for its end finds nothing of the stage.
    const stage = stageImage(image, cleanup, log)
    log({ kind: 'notice', text: `Importing '${source}', saving as '${name}'.` })
    try {
      const bytes = await work({
        stage,
        directory,
        signal,
        log,
        progress: tellProgress(run.purpose, progress, log),
      })
      return { name, path: await stage.publish({ signal }), bytes }
    } catch (error) {
      throw noRoom(error, directory)
    }
  })
}

/**
 * What the image will be called, asked before anything is opened.
 *
 * @throws NspawnError `USAGE` when there is no name, or none that the image could have
 */
export function importedName(
  kind: ImportKind,
  { source, name, class: imageClass }: ImportRequest,
): string {
  const derived = isStandard(source, 'stdin') ? '' : kind.nameFrom(lastPart(source))
  const chosen = name ?? derived
  if (chosen === '' || chosen === '-')
    throw usageError('need either path or local name', 'give the image a name')
  checkName(chosen, imageClass ?? 'machine')
  return chosen
}

/** The last part of a path that is not empty. */
function lastPart(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) ?? ''
}

function noRoom(error: unknown, directory: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new NspawnError('there is no room for the image', {
    code,
    operation: 'import',
    subject: directory,
    cause: error,
    hint: code === 'EDQUOT' ? `the quota of ${directory} is used up` : `make room in ${directory}`,
  })
}
