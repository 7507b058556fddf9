/**
 * The file of a pull itself: asked for, unpacked while it comes in, as the image or as a pristine copy of it, and held
 * against what it must be. Should it change on the server, or be damaged where an earlier try left it, it is begun anew.
 */
import { utimes } from 'node:fs/promises'
import { NspawnError } from '../../errors.ts'
import type { ImageStage } from '../../images/new-image.ts'
import type { LogSink } from '../../log.ts'
import { fetchError } from '../download.ts'
import type { RunningTransfer } from '../run-transfer.ts'
import { openSteady, type SteadyStream } from '../steady-stream.ts'
import { withoutSecrets } from '../url.ts'
import { lastPart, type PullKind } from './address.ts'
import { checkAgainst, type Expectation, type Verification } from './expectation.ts'
import type { PartFile } from './part-file.ts'
import { pristineName } from './pristine-name.ts'
import {
  copiesAreFree,
  removePristine,
  usablePristine,
  writeRecord,
  type DownloadRecord,
  type UsablePristine,
} from './pristine.ts'
import { markProvenance } from './provenance.ts'
import { emptyStage, unpackImage } from './unpack-image.ts'

export interface MainFileRequest {
  readonly kind: PullKind
  readonly url: URL
  /** See `identifyingUrl()`. */
  readonly identity: string
  /** Of the images. */
  readonly directory: string
  readonly verification: Verification['mode']
  /** Whether a pristine copy stays: `auto` keeps one of images that `mayKeep`, where copies take no space. */
  readonly keepDownload: 'auto' | 'yes' | 'no'
  readonly mayKeep: boolean
  readonly bytesPerSecond: number | undefined
  /** Of the unpacked image. */
  readonly sizeMaxBytes: number
  /** Where the image is made; undefined when the pristine copy alone is wanted. */
  readonly local: ImageStage | undefined
  /** Makes the place for a pristine copy of that name. */
  readonly stagePristine: (name: string) => ImageStage
  readonly part: PartFile
  readonly expected: FetchedExpectation
  readonly transfer: RunningTransfer
  readonly log: LogSink
}

/** What the file must be, fetched while it comes in. */
export interface FetchedExpectation {
  /** Undefined when nothing is checked. */
  wait(): Promise<Expectation | undefined>
  /** Fetches it again, since the file is another one now. */
  refetch(): void
}

export interface MainFile {
  readonly path: string
  readonly download: DownloadRecord
  readonly from: 'network' | 'pristine copy'
  readonly resumedBytes: number
  /** It was unpacked as the image itself, and not as a pristine copy of it. */
  readonly inPlace?: boolean
}

/** What bytes that are not those of the file end in. */
const damage = ['CHECKSUM_MISMATCH', 'BAD_COMPRESSION', 'BAD_ARCHIVE', 'TRUNCATED_ARCHIVE']
/** So often a file may change on the server while it comes in. */
const changesLimit = 3

/** @throws NspawnError `CHECKSUM_…`, what `expected`, fetching and unpacking throw */
export function bringMainFile(request: MainFileRequest): Promise<MainFile> {
  return new MainFileBringer(request).bring()
}

class MainFileBringer {
  private readonly request: MainFileRequest
  private readonly pristineStages = new Map<string, ImageStage>()

  constructor(request: MainFileRequest) {
    this.request = request
  }

  async bring(): Promise<MainFile> {
    const { directory, kind, identity, url, part, expected, log } = this.request
    let copies = usablePristine(directory, kind, identity)
    let useParts = true
    for (let changes = 0; ;) {
      const answer = await this.ask(copies, useParts ? part : undefined)
      if ('path' in answer) {
        if (this.isExpected(answer.download, await expected.wait())) {
          const shown = withoutSecrets(url)
          log({ kind: 'notice', text: `already there: using the pristine copy of ${shown}` })
          return { ...answer, from: 'pristine copy', resumedBytes: 0 }
        }
        log({
          kind: 'warning',
          text: 'the pristine copy is not what is expected: fetching the file again',
        })
        copies = []
        continue
      }
      const stage = await this.stageFor(answer)
      part.begin(answer)
      if (answer.earlierBytes > 0) {
        const shown = `${(answer.earlierBytes / 1e6).toFixed(1)} MB`
        log({ kind: 'notice', text: `going on behind ${shown} that are here already` })
      }
      try {
        return await this.unpackAndCheck(answer, stage)
      } catch (error) {
        const { code } = error as NspawnError
        const changed = code === 'FILE_CHANGED' && changes++ < changesLimit
        const canceled = this.request.transfer.signal.aborted
        // What an earlier run left may be damaged, where the server and its checksum are not.
        const damaged = answer.earlierBytes > 0 && !canceled && damage.includes(code)
        if (!changed && !damaged) throw error
        log({
          kind: 'warning',
          text: changed
            ? 'the file was changed on the server meanwhile: beginning anew'
            : `what was kept of an earlier try is no good (${code}): beginning anew`,
        })
        useParts = false
        // The checksums that were fetched may be those of the old version.
        if (changed) expected.refetch()
        await emptyStage(stage.image, kind)
      }
    }
  }

  /** The answer of the server, or the pristine copy that makes one needless. */
  private async ask(
    copies: readonly UsablePristine[],
    part: PartFile | undefined,
  ): Promise<SteadyStream | UsablePristine> {
    const { url, verification, bytesPerSecond } = this.request
    const { signal } = this.request.transfer
    try {
      const answer = await openSteady({
        url,
        known: copies.map(({ etag }) => etag),
        earlier: part?.earlier(verification === 'no' ? 'unchecked' : 'checked'),
        bytesPerSecond,
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
      this.request.transfer.progress(event.done / event.total)
    this.request.log(event)
  }

  private async unpackAndCheck(answer: SteadyStream, stage: MainStage): Promise<MainFile> {
    const { url, expected, transfer } = this.request
    await this.unpack(answer, stage.image)
    const download = recordOf(answer)
    checkMain(await expected.wait(), lastPart(url), download)
    const brought = { download, from: 'network', resumedBytes: answer.earlierBytes } as const
    if (!stage.kept) return { ...brought, path: stage.image.path, inPlace: true }
    writeRecord(stage.image, download)
    return { ...brought, path: await stage.image.publish({ signal: transfer.signal }) }
  }

  private async unpack(stream: SteadyStream, stage: ImageStage): Promise<void> {
    const { url, kind, part, sizeMaxBytes, log } = this.request
    const { signal } = this.request.transfer
    try {
      await unpackImage(kind, kept(stream, part), stage, { sizeMaxBytes, signal, log })
    } catch (error) {
      throw fetchError({ url, signal }, error)
    }
    if (kind !== 'raw') return
    markProvenance(stage.path, url, stream)
    if (stream.modifiedMs !== undefined)
      await utimes(stage.path, stream.modifiedMs / 1000, stream.modifiedMs / 1000)
  }

  private isExpected(download: DownloadRecord, expected: Expectation | undefined): boolean {
    try {
      checkMain(expected, lastPart(this.request.url), download)
      return true
    } catch (error) {
      if ((error as NspawnError).code === 'CHECKSUM_MISMATCH') return false
      throw error
    }
  }

  /** Where the file is unpacked: to be kept as pristine copy, or as the image at once. */
  private async stageFor(answer: SteadyStream): Promise<MainStage> {
    const { directory, kind, identity, url, local, log } = this.request
    const name = pristineName(directory, kind, identity, answer.etag)
    if (local !== undefined && (name === undefined || !this.keepsDownload(local, answer)))
      return { image: local, kept: false }
    if (name === undefined) {
      throw new NspawnError('the name of the pristine copy would be too long', {
        code: 'ENAMETOOLONG',
        subject: withoutSecrets(url),
        hint: 'give the image a name',
      })
    }
    const before = this.pristineStages.get(name)
    if (before !== undefined) return { image: before, kept: true }
    // One that is there already is not what was expected, or nobody knows what it is.
    await removePristine(directory, name, log)
    const image = this.request.stagePristine(name)
    this.pristineStages.set(name, image)
    return { image, kept: true }
  }

  private keepsDownload(local: ImageStage, answer: SteadyStream): boolean {
    const { keepDownload, mayKeep, kind, log } = this.request
    if (answer.etag === undefined) {
      if (keepDownload === 'yes')
        log({
          kind: 'notice',
          text: 'no pristine copy is kept: without an ETag from the server no later pull could know it again',
        })
      return false
    }
    if (keepDownload !== 'auto') return keepDownload === 'yes'
    return mayKeep && copiesAreFree(local.directory, kind)
  }
}

interface MainStage {
  readonly image: ImageStage
  /** As a pristine copy. */
  readonly kept: boolean
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
