/** A source that has been brought into a layer of the build, and what is needed to do it. */
import type { LogSink } from '../../log.ts'
import { NspawnError } from '../../errors.ts'
import type { AnswerCache } from '../answer-cache.ts'
import type { DscSignature, SignaturePolicy } from './dsc-signature.ts'
import type { ListedFile } from './file-list.ts'
import type { SourceRequest } from './source-argument.ts'
import type { SourceControl } from './source-control.ts'

export interface StagedFile extends ListedFile {
  /** Path or URL that it came from, without passwords. */
  readonly from: string
}

export interface StagedSource {
  readonly control: SourceControl
  /** What was asked for, as a path or URL. */
  readonly origin: string
  readonly form:
    /** The files of a source package lie in the build directory. */
    | { readonly kind: 'package'; readonly dsc: string }
    /** A directory below `sourceDirectory`, to be made a source package first; then that is built. */
    | { readonly kind: 'tree'; readonly name: string; readonly dsc: string }
    /** A directory that lacks its upstream tarball: built where it lies, in the build directory. */
    | { readonly kind: 'unpacked'; readonly name: string }
  readonly files: readonly StagedFile[]
  /** Of a directory: the digest of what was copied. */
  readonly treeSha256: string | undefined
  /** Of a git checkout: what was taken of it. */
  readonly git?: GitFacts | undefined
  readonly signature: DscSignature
}

export interface GitFacts {
  /** The commit that was taken, or that the directory is based on. */
  readonly commit: string | undefined
  /** What was asked for. */
  readonly taken: 'commit' | 'working tree'
  /** Of the working tree: files that are not as committed, or that git does not know. */
  readonly changed?: readonly string[] | undefined
}

export interface StageRequest {
  readonly source: SourceRequest
  /** The build tree, for its package sources. */
  readonly tree: string
  /** Absolute; an empty directory that becomes a layer. */
  readonly layer: string
  readonly policy: SignaturePolicy
  /** `left-out`: nobody will unpack it, and upstream tarballs are large. */
  readonly upstream?: 'left-out' | undefined
  /** Where lookups by name are remembered. */
  readonly cache?: AnswerCache | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/** More than any source file that Debian has. */
export const fileLimitBytes = 16 * 1024 ** 3

/** The source is not what a source package is. */
export function invalid(why: string, subject: string): NspawnError {
  return new NspawnError(why, { code: 'SOURCE_INVALID', operation: 'read source package', subject })
}
