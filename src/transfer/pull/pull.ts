/**
 * Brings an image in from a server: fetched, hashed, decompressed and unpacked at once, under a hidden name, and given
 * its own name only when its checksum, the checksum's signature and its companions have been seen to be right. What
 * was fetched before a break is kept for the next try; everything else of a pull that fails goes away.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError, usageError } from '../../errors.ts'
import { stageImage, type ImageStage } from '../../images/new-image.ts'
import { phase, silent, type LogSink } from '../../log.ts'
import { machinesDirectory } from '../../paths.ts'
import { transient } from '../http-body.ts'
import { runTransfer, type RunningTransfer } from '../run-transfer.ts'
import { unpackedBytesMax } from '../size-limit.ts'
import { identifyingUrl, withoutSecrets } from '../url.ts'
import { companionsOf, lastPart, parseImageUrl, withoutSuffixes, type PullKind } from './address.ts'
import {
  fetchCompanions,
  keepTrusted,
  possibleCompanions,
  type Companion,
  type CompanionSuffix,
} from './companions.ts'
import { fetchExpectation, type Expectation, type Verification } from './expectation.ts'
import { checkName, classDirectory, type ImageClass } from './image-class.ts'
import { bringMainFile, type MainFile } from './main-file.ts'
import { PartFile, partAgeMs, partPath, removeParts } from './part-file.ts'
import { copyPristine } from './pristine.ts'

export interface PullRequest {
  readonly url: string
  /** Default: from the URL; `-` makes the pristine copy alone. */
  readonly name?: string | undefined
  /** Default `machine`. */
  readonly class?: ImageClass | undefined
  /** Where images of machines live; absolute. Default TSNSPAWN_MACHINES_DIR, else `/var/lib/machines`. */
  readonly machinesDirectory?: string | undefined
  /** Instead of the directory of the class; absolute. */
  readonly imageRoot?: string | undefined
  /** How the file is known to be right; default by a signature that a key of the host's keyring made. */
  readonly verify?: Verification | undefined
  /** What becomes of an image of that name; default `keep`, and the pull is refused. */
  readonly existing?: 'keep' | 'replace' | undefined
  /** Default `read-write`. */
  readonly access?: 'read-only' | 'read-write' | undefined
  /** Whether to have all of the image on the disk before it gets its name; default `yes`. */
  readonly sync?: 'yes' | 'no' | undefined
  /** Whether a pristine copy stays: `auto` keeps one of a machine where copies take no space. Default `auto`. */
  readonly keepDownload?: 'auto' | 'yes' | 'no' | undefined
  /** Whether each is wanted; default: all, or none where only the image's own checksum was given. */
  readonly companions?: Readonly<Partial<Record<CompanionSuffix, boolean>>> | undefined
  readonly bytesPerSecond?: number | undefined
  /** Of the unpacked image; default 64 GiB. */
  readonly sizeMaxBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface PulledImage {
  /** Undefined when only the pristine copy was wanted. */
  readonly name: string | undefined
  /** Of the image, or of the pristine copy where there is no other. */
  readonly path: string
  readonly url: string
  readonly sha256: string
  /** Of the file as it came. */
  readonly sizeBytes: number
  readonly verified: Verification['mode']
  /** Keys that vouch for it. */
  readonly signers: readonly string[]
  readonly from: 'network' | 'pristine copy'
  /** Bytes that an earlier run had brought. */
  readonly resumedBytes: number
  readonly companions: readonly CompanionSuffix[]
}

/** Verdicts about the file: what was fetched of it is of no use any more. Other failures beside it say nothing of it. */
const verdicts = [
  'CHECKSUM_MISMATCH',
  'CHECKSUM_NOT_FOUND',
  'SIGNATURE_INVALID',
  'SIGNATURE_NOT_FOUND',
]

/**
 * Pulls a tree from a tar archive, however it is compressed.
 *
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY` (name, URL or old image in use), `CHECKSUM_…`, `SIGNATURE_…`,
 *   `KEYRING_NOT_FOUND`, `CANCELED`, `TRANSFER_CANCELED`, what fetching and unpacking throw
 */
export function pullTar(request: PullRequest): Promise<PulledImage> {
  return pull('tar', request)
}

/** Pulls a disk image, however it is compressed, and be it qcow2. @throws NspawnError as `pullTar()` */
export function pullRaw(request: PullRequest): Promise<PulledImage> {
  return pull('raw', request)
}

async function pull(kind: PullKind, request: PullRequest): Promise<PulledImage> {
  const job = new Pull(kind, request)
  const text = `pulling ${job.shownUrl}${job.local === undefined ? '' : ` as ${job.local}`}`
  return phase(request.log ?? silent, text, () => job.run())
}

class Pull {
  readonly shownUrl: string
  /** Tells it from other URLs, in names. */
  private readonly identity: string
  readonly local: string | undefined
  private readonly kind: PullKind
  private readonly request: PullRequest
  private readonly url: URL
  private readonly verification: Verification
  private readonly directory: string
  private readonly log: LogSink
  /** Of what is fetched beside the file. */
  private failedBeside: unknown

  constructor(kind: PullKind, request: PullRequest) {
    this.kind = kind
    this.request = request
    this.url = parseImageUrl(request.url)
    this.shownUrl = withoutSecrets(this.url)
    this.identity = identifyingUrl(this.url)
    this.verification = request.verify ?? { mode: 'signature' }
    const imageClass = request.class ?? 'machine'
    this.local = localName(request.name ?? withoutSuffixes(lastPart(this.url), kind), imageClass)
    this.directory =
      request.imageRoot ?? classDirectory(imageClass, machinesDirectory(request.machinesDirectory))
    this.log = request.log ?? silent
    if (this.local === undefined && request.keepDownload === 'no')
      throw usageError('without a name and without a pristine copy nothing is left to do')
  }

  async run(): Promise<PulledImage> {
    const { kind, shownUrl, identity, directory, log } = this
    await using cleanup = new CleanupStack()
    for (const path of removeParts(directory, partAgeMs))
      log({ kind: 'notice', text: `removed ${path}, which nobody came back for` })
    const listed = {
      type: `pull-${kind}` as const,
      local: this.local,
      remote: shownUrl,
      directories: [directory],
      part: partPath(directory, identity),
    }
    const run = { ...listed, purpose: `pulling ${shownUrl}`, caller: this.request.signal }
    return await runTransfer(run, cleanup, async (transfer) => {
      // After the transfer is listed, so that what waits for its end finds nothing of the stage.
      const local = this.stageLocal(cleanup)
      const part = PartFile.claim(directory, identity, shownUrl)
      let isKept = false
      try {
        return await this.bring(local, part, transfer, cleanup)
      } catch (error) {
        const reason = transfer.reason(error)
        isKept = part.resumable && (part.isUntouched || this.mayGoOn(reason)) && !isGivenUp(reason)
        if (isKept) {
          log({
            kind: 'notice',
            text: 'what was fetched is kept for a week: the same command goes on from there',
          })
        }
        throw reason
      } finally {
        // Before the transfer is over for those that list it, and wait for its end.
        if (isKept) part.keep()
        else part.remove()
      }
    })
  }

  /** Whether a later run may go on with the bytes that were fetched. */
  private mayGoOn(reason: unknown): boolean {
    for (let e: unknown = reason; e instanceof NspawnError; e = e.cause) {
      if (e.code === 'CANCELED' || transient(e)) return true
    }
    return reason === this.failedBeside && !verdicts.includes((reason as NspawnError).code)
  }

  private stageLocal(cleanup: CleanupStack): ImageStage | undefined {
    if (this.local !== undefined) {
      const { existing = 'keep', access = 'read-write' } = this.request
      return this.stage(this.local, existing, access, cleanup)
    }
    mkdirSync(dirname(this.directory), { recursive: true, mode: 0o755 })
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    return undefined
  }

  private stage(
    name: string,
    existing: 'keep' | 'replace',
    access: 'read-only' | 'read-write',
    cleanup: CleanupStack,
  ): ImageStage {
    const { directory } = this
    const kind = this.kind === 'tar' ? 'tree' : 'disk'
    const sync = this.request.sync ?? 'yes'
    return stageImage({ directory, name, kind, existing, access, sync }, cleanup, this.log)
  }

  private async bring(
    local: ImageStage | undefined,
    part: PartFile,
    transfer: RunningTransfer,
    cleanup: CleanupStack,
  ): Promise<PulledImage> {
    const { url, kind, identity, directory, log, request } = this
    const { signal } = transfer
    const beside = <T>(work: Promise<T>): Promise<T> => {
      work.catch((error: unknown) => {
        this.failedBeside ??= error
        transfer.stop(error)
      })
      return work
    }
    let expecting = beside(this.expect(signal))
    const accompanying = beside(this.accompany(local, signal))
    try {
      const main = await bringMainFile({
        kind,
        url,
        identity,
        directory,
        verification: this.verification.mode,
        keepDownload: request.keepDownload ?? 'auto',
        mayKeep: (request.class ?? 'machine') === 'machine',
        bytesPerSecond: request.bytesPerSecond,
        sizeMaxBytes: request.sizeMaxBytes ?? unpackedBytesMax,
        local,
        stagePristine: (name) => this.stage(name, 'replace', 'read-only', cleanup),
        part,
        expected: {
          wait: () => expecting,
          refetch: () => void (expecting = beside(this.expect(signal))),
        },
        transfer,
        log,
      })
      const expected = await expecting
      const companions = keepTrusted(await accompanying, expected, log)
      const path = local === undefined ? main.path : await this.publishLocal(local, main, signal)
      return {
        name: this.local,
        path,
        url: this.shownUrl,
        sha256: main.download.sha256,
        sizeBytes: main.download.sizeBytes,
        verified: this.verification.mode,
        signers: expected?.signers ?? [],
        from: main.from,
        resumedBytes: main.resumedBytes,
        companions: companions.map(({ suffix }) => suffix),
      }
    } catch (error) {
      transfer.stop(error)
      throw error
    } finally {
      await Promise.allSettled([expecting, accompanying])
    }
  }

  private expect(signal: AbortSignal): Promise<Expectation | undefined> {
    const { url, kind, log } = this
    const lists = companionsOf(lastPart(url), kind).checksums
    return fetchExpectation(this.verification, lists, { url, signal, log })
  }

  private async accompany(
    local: ImageStage | undefined,
    signal: AbortSignal,
  ): Promise<Companion[]> {
    if (local === undefined) return []
    const { url, kind, log } = this
    return await fetchCompanions(url, kind, this.wantedCompanions(), local, { signal, log })
  }

  private async publishLocal(
    local: ImageStage,
    main: MainFile,
    signal: AbortSignal,
  ): Promise<string> {
    if (main.inPlace !== true) {
      this.log({ kind: 'step', text: 'copying the pristine copy' })
      await copyPristine(main.path, this.kind, local, { log: this.log, signal })
    }
    return local.publish({ signal })
  }

  private wantedCompanions(): CompanionSuffix[] {
    const { companions = {} } = this.request
    const fallback = this.verification.mode !== 'sha256'
    return possibleCompanions(this.kind).filter((suffix) => companions[suffix] ?? fallback)
  }
}

function localName(name: string, imageClass: ImageClass): string | undefined {
  if (name === '-') return undefined
  if (name === '') throw usageError('the URL has no name for the image', 'give one behind the URL')
  checkName(name, imageClass)
  return name
}

/** Ended by cancel-transfer, which leaves nothing. */
function isGivenUp(reason: unknown): boolean {
  return (reason as NspawnError).code === 'TRANSFER_CANCELED'
}
