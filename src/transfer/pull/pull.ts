/**
 * Brings an image in from a server: fetched, hashed, decompressed and unpacked at once, under a hidden name, and given
 * its own name only when its checksum, the checksum's signature and its companions have been seen to be right. What
 * was fetched before a break is kept for the next try; everything else of a pull that fails goes away.
 */
import { mkdirSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError, usageError } from '../../errors.ts'
import { stageImage, type ImageStage } from '../../images/new-image.ts'
import { phase, silent, type LogSink } from '../../log.ts'
import { transient } from '../http-body.ts'
import { fetchError } from '../download.ts'
import { openSteady, type SteadyStream } from '../steady-stream.ts'
import { registerTransfer, type Transfer } from '../transfers.ts'
import { identifyingUrl, withoutSecrets } from '../url.ts'
import { companionsOf, lastPart, parseImageUrl, withoutSuffixes, type PullKind } from './address.ts'
import {
  fetchCompanions,
  keepTrusted,
  possibleCompanions,
  type CompanionSuffix,
} from './companions.ts'
import {
  checkAgainst,
  fetchExpectation,
  type Expectation,
  type Verification,
} from './expectation.ts'
import { checkName, classDirectory, type ImageClass } from './image-class.ts'
import { PartFile, partAgeMs, removeParts } from './part-file.ts'
import { pristineName } from './pristine-name.ts'
import {
  copiesAreFree,
  copyPristine,
  removePristine,
  usablePristine,
  writeRecord,
  type DownloadRecord,
  type UsablePristine,
} from './pristine.ts'
import { markProvenance } from './provenance.ts'
import { emptyStage, unpackImage } from './unpack-image.ts'

export interface PullRequest {
  readonly url: string
  /** Default: from the URL; `-` makes the pristine copy alone. */
  readonly name?: string | undefined
  /** Default `machine`. */
  readonly class?: ImageClass | undefined
  /** Where images of machines live; absolute. */
  readonly machinesDirectory: string
  /** Instead of the directory of the class; absolute. */
  readonly imageRoot?: string | undefined
  readonly verify: Verification
  readonly existing: 'keep' | 'replace'
  readonly access: 'read-only' | 'read-write'
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

/** What bytes that are not those of the file end in. */
const damage = ['CHECKSUM_MISMATCH', 'BAD_COMPRESSION', 'BAD_ARCHIVE', 'TRUNCATED_ARCHIVE']
const unpackedLimitBytes = 64 * 1024 ** 3
/** So often a file may change on the server while it comes in. */
const changesLimit = 3

/** Pulls a tree from a tar archive, however it is compressed. */
export function pullTar(request: PullRequest): Promise<PulledImage> {
  return pull('tar', request)
}

/** Pulls a disk image, however it is compressed, and be it qcow2. */
export function pullRaw(request: PullRequest): Promise<PulledImage> {
  return pull('raw', request)
}

/**
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY` (name, URL or old image in use), `CHECKSUM_…`, `SIGNATURE_…`,
 *   `KEYRING_NOT_FOUND`, `TRANSFER_CANCELED`, what fetching and unpacking throw
 */
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
  private readonly directory: string
  private readonly log: LogSink
  private readonly cleanup = new CleanupStack()
  private readonly stop = new AbortController()
  private signal = this.stop.signal
  private transfer: Transfer | undefined
  private expecting: Promise<Expectation | undefined> = Promise.resolve(undefined)
  private readonly pristineStages = new Map<string, ImageStage>()

  constructor(kind: PullKind, request: PullRequest) {
    this.kind = kind
    this.request = request
    this.url = parseImageUrl(request.url)
    this.shownUrl = withoutSecrets(this.url)
    this.identity = identifyingUrl(this.url)
    const imageClass = request.class ?? 'machine'
    this.local = localName(request.name ?? withoutSuffixes(lastPart(this.url), kind), imageClass)
    this.directory = request.imageRoot ?? classDirectory(imageClass, request.machinesDirectory)
    this.log = request.log ?? silent
    if (this.local === undefined && request.keepDownload === 'no')
      throw usageError('without a name and without a pristine copy nothing is left to do')
  }

  async run(): Promise<PulledImage> {
    let part: PartFile | undefined
    let keepPart = false
    try {
      const local = this.stageLocal()
      for (const path of removeParts(this.directory, partAgeMs))
        this.log({ kind: 'notice', text: `removed ${path}, which nobody came back for` })
      part = PartFile.claim(this.directory, this.identity, this.shownUrl)
      this.transfer = registerTransfer(
        {
          type: `pull-${this.kind}`,
          local: this.local,
          remote: this.shownUrl,
          directories: [this.directory],
          part: part.path,
        },
        this.cleanup,
      )
      const signals = [this.stop.signal, this.transfer.signal, this.request.signal]
      this.signal = AbortSignal.any(signals.filter((signal) => signal !== undefined))
      return await this.bring(local, part)
    } catch (error) {
      const reason = this.reason(error)
      const canceled = this.transfer?.signal.aborted === true
      const useful = part?.isUntouched === true || mayGoOn(reason)
      keepPart = part?.resumable === true && useful && !canceled
      if (keepPart) {
        this.log({
          kind: 'notice',
          text: 'what was fetched is kept for a week: the same command goes on from there',
        })
      }
      throw reason
    } finally {
      if (keepPart) part?.keep()
      else part?.remove()
      await this.cleanup.releaseAll()
    }
  }

  /** The failure that made the others: of all that runs at once, the first stops the rest. */
  private reason(error: unknown): unknown {
    if (this.transfer?.signal.aborted === true) return this.transfer.signal.reason
    if (this.request.signal?.aborted === true)
      return new NspawnError(`pulling ${this.shownUrl} was canceled`, { code: 'CANCELED' })
    return this.stop.signal.aborted ? this.stop.signal.reason : error
  }

  private stageLocal(): ImageStage | undefined {
    if (this.local !== undefined) return this.stage(this.local, this.request.access)
    mkdirSync(dirname(this.directory), { recursive: true, mode: 0o755 })
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    return undefined
  }

  private stage(name: string, access: 'read-only' | 'read-write'): ImageStage {
    const { directory, kind } = this
    const pristine = name !== this.local
    return stageImage(
      {
        directory,
        name,
        kind: kind === 'tar' ? 'tree' : 'disk',
        existing: pristine ? 'replace' : this.request.existing,
        access,
        sync: this.request.sync ?? 'yes',
      },
      this.cleanup,
      this.log,
    )
  }

  private async bring(local: ImageStage | undefined, part: PartFile): Promise<PulledImage> {
    const { url, kind, signal, log } = this
    const stopAll = (error: unknown) => this.stop.abort(error)
    this.expect()
    const accompanying =
      local === undefined
        ? Promise.resolve([])
        : fetchCompanions(url, kind, this.wantedCompanions(), local, { signal, log })
    accompanying.catch(stopAll)
    try {
      const main = await this.bringMain(local, part)
      const expected = await this.expecting
      const companions = keepTrusted(await accompanying, expected, log)
      const path = local === undefined ? main.path : await this.publishLocal(local, main)
      return {
        name: this.local,
        path,
        url: this.shownUrl,
        sha256: main.download.sha256,
        sizeBytes: main.download.sizeBytes,
        verified: this.request.verify.mode,
        signers: expected?.signers ?? [],
        from: main.from,
        resumedBytes: main.resumedBytes,
        companions: companions.map(({ suffix }) => suffix),
      }
    } catch (error) {
      stopAll(error)
      throw error
    } finally {
      await Promise.allSettled([this.expecting, accompanying])
    }
  }

  /** Begins to fetch what the file must be; a failure ends all that runs. */
  private expect(): void {
    const { url, kind, signal, log } = this
    const lists = companionsOf(lastPart(url), kind).checksums
    this.expecting = fetchExpectation(this.request.verify, lists, { url, signal, log })
    this.expecting.catch((error: unknown) => this.stop.abort(error))
  }

  private async bringMain(local: ImageStage | undefined, part: PartFile): Promise<MainFile> {
    let copies = usablePristine(this.directory, this.kind, this.identity)
    let useParts = true
    for (let changes = 0; ;) {
      const answer = await this.ask(copies, useParts ? part : undefined)
      if ('path' in answer) {
        if (await this.isExpected(answer.download, await this.expecting)) {
          this.log({
            kind: 'notice',
            text: `already there: using the pristine copy of ${this.shownUrl}`,
          })
          return { ...answer, from: 'pristine copy', resumedBytes: 0 }
        }
        this.log({
          kind: 'warning',
          text: 'the pristine copy is not what is expected: fetching the file again',
        })
        copies = []
        continue
      }
      const stage = await this.stageFor(local, answer)
      part.begin(answer)
      if (answer.earlierBytes > 0)
        this.log({
          kind: 'notice',
          text: `going on behind ${megabytes(answer.earlierBytes)} that are here already`,
        })
      try {
        await this.unpack(answer, part, stage.image)
        const download = recordOf(answer)
        checkMain(await this.expecting, lastPart(this.url), download)
        const resumedBytes = answer.earlierBytes
        const path = stage.kept
          ? await this.publishPristine(stage.image, download)
          : stage.image.path
        return { path, download, from: 'network', resumedBytes, inPlace: !stage.kept }
      } catch (error) {
        const { code } = error as NspawnError
        const changed = code === 'FILE_CHANGED' && changes++ < changesLimit
        // What an earlier run left may be damaged, where the server and its checksum are not.
        const damaged = answer.earlierBytes > 0 && !this.signal.aborted && damage.includes(code)
        if (!changed && !damaged) throw error
        this.log({
          kind: 'warning',
          text: changed
            ? 'the file was changed on the server meanwhile: beginning anew'
            : `what was kept of an earlier try is no good (${code}): beginning anew`,
        })
        useParts = false
        // The checksums that were fetched may be those of the old version.
        if (changed) this.expect()
        await emptyStage(stage.image, this.kind)
      }
    }
  }

  /** The answer of the server, or the pristine copy that makes one needless. */
  private async ask(
    copies: readonly UsablePristine[],
    part: PartFile | undefined,
  ): Promise<SteadyStream | UsablePristine> {
    const { url, signal, request } = this
    try {
      const answer = await openSteady({
        url,
        known: copies.map(({ etag }) => etag),
        earlier: part?.earlier(request.verify.mode === 'no' ? 'unchecked' : 'checked'),
        bytesPerSecond: request.bytesPerSecond,
        signal,
        log: this.showProgress,
      })
      const found =
        answer.etag === undefined && answer.state === 'not-modified' && copies.length === 1
          ? copies[0]
          : copies.find(({ etag }) => etag === answer.etag)
      if (found !== undefined) {
        if (answer.state === 'content') answer.close()
        return found
      }
      // Not modified, but the server does not say which of them it means.
      return answer.state === 'content' ? answer : await this.ask([], part)
    } catch (error) {
      throw fetchError({ url, signal }, error)
    }
  }

  private readonly showProgress: LogSink = (event) => {
    if (event.kind === 'progress' && event.total !== undefined)
      this.transfer?.progress(event.done / event.total)
    this.log(event)
  }

  private async unpack(stream: SteadyStream, part: PartFile, stage: ImageStage): Promise<void> {
    const { url, kind, signal, log } = this
    try {
      await unpackImage(kind, kept(stream, part), stage, {
        sizeMaxBytes: this.request.sizeMaxBytes ?? unpackedLimitBytes,
        signal,
        log,
      })
    } catch (error) {
      throw fetchError({ url, signal }, error)
    }
    if (kind !== 'raw') return
    markProvenance(stage.path, url, stream)
    if (stream.modifiedMs !== undefined)
      await utimes(stage.path, stream.modifiedMs / 1000, stream.modifiedMs / 1000)
  }

  private async isExpected(
    download: DownloadRecord,
    expected: Expectation | undefined,
  ): Promise<boolean> {
    try {
      checkMain(expected, lastPart(this.url), download)
      return true
    } catch (error) {
      if ((error as NspawnError).code === 'CHECKSUM_MISMATCH') return false
      throw error
    }
  }

  /** Where the file is unpacked: to be kept as pristine copy, or as the image at once. */
  private async stageFor(
    local: ImageStage | undefined,
    answer: SteadyStream,
  ): Promise<{ readonly image: ImageStage; readonly kept: boolean }> {
    const { directory, kind, identity, shownUrl } = this
    const name = pristineName(directory, kind, identity, answer.etag)
    if (local !== undefined && (name === undefined || !this.keepsDownload(local, answer)))
      return { image: local, kept: false }
    if (name === undefined) {
      throw new NspawnError('the name of the pristine copy would be too long', {
        code: 'ENAMETOOLONG',
        subject: shownUrl,
        hint: 'give the image a name',
      })
    }
    const before = this.pristineStages.get(name)
    if (before !== undefined) return { image: before, kept: true }
    // One that is there already is not what was expected, or nobody knows what it is.
    await removePristine(directory, name, this.log)
    const image = this.stage(name, 'read-only')
    this.pristineStages.set(name, image)
    return { image, kept: true }
  }

  private keepsDownload(local: ImageStage, answer: SteadyStream): boolean {
    const keep = this.request.keepDownload ?? 'auto'
    if (answer.etag === undefined) {
      if (keep === 'yes')
        this.log({
          kind: 'notice',
          text: 'no pristine copy is kept: without an ETag from the server no later pull could know it again',
        })
      return false
    }
    if (keep !== 'auto') return keep === 'yes'
    return (
      (this.request.class ?? 'machine') === 'machine' && copiesAreFree(local.directory, this.kind)
    )
  }

  private async publishPristine(stage: ImageStage, download: DownloadRecord): Promise<string> {
    writeRecord(stage, download)
    return stage.publish({ signal: this.signal })
  }

  private async publishLocal(local: ImageStage, main: MainFile): Promise<string> {
    if (main.inPlace !== true) {
      this.log({ kind: 'step', text: 'copying the pristine copy' })
      await copyPristine(main.path, this.kind, local, this.signal)
    }
    return local.publish({ signal: this.signal })
  }

  private wantedCompanions(): CompanionSuffix[] {
    const { companions = {}, verify } = this.request
    const fallback = verify.mode !== 'sha256'
    return possibleCompanions(this.kind).filter((suffix) => companions[suffix] ?? fallback)
  }
}

interface MainFile {
  readonly path: string
  readonly download: DownloadRecord
  readonly from: PulledImage['from']
  readonly resumedBytes: number
  /** It was unpacked as the image itself, and not as a pristine copy of it. */
  readonly inPlace?: boolean
}

function localName(name: string, imageClass: ImageClass): string | undefined {
  if (name === '-') return undefined
  if (name === '') throw usageError('the URL has no name for the image', 'give one behind the URL')
  checkName(name, imageClass)
  return name
}

function checkMain(
  expected: Expectation | undefined,
  name: string,
  { sha256 }: DownloadRecord,
): void {
  if (expected !== undefined) checkAgainst(expected, { name, sha256, listed: 'must' })
}

function recordOf(stream: SteadyStream): DownloadRecord {
  return {
    etag: stream.etag,
    modifiedMs: stream.modifiedMs,
    sha256: stream.sha256(),
    sizeBytes: stream.sizeBytes(),
  }
}

/** The bytes of the stream, those that are new being added to the part. */
async function* kept(stream: SteadyStream, part: PartFile): AsyncGenerator<Buffer> {
  let position = 0
  for await (const chunk of stream.chunks) {
    if (position >= stream.earlierBytes) part.append(chunk)
    position += chunk.length
    yield chunk
  }
}

/** Whether a later run may go on with the bytes that were fetched. */
function mayGoOn(error: unknown): boolean {
  for (let e: unknown = error; e instanceof NspawnError; e = e.cause) {
    if (e.code === 'CANCELED' || transient(e)) return true
  }
  return false
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
