/** What `runContainer()` and the runtime process say to each other: JSON, one line a message. */
import type { SerializedError } from '../errors.ts'
import type { LogEvent } from '../log.ts'
import type { Settings } from '../settings/settings.ts'

/** Descriptors of the runtime process: the request, up to its end, and the answers. */
export const REQUEST_FD = 3
export const ANSWER_FD = 4

export interface RuntimeRequest {
  readonly settings: Settings
  readonly machinesDirectory: string | undefined
}

export type RuntimeAnswer =
  | { readonly kind: 'event'; readonly event: LogEvent }
  | { readonly kind: 'ended'; readonly status: number; readonly killed: boolean }
  | { readonly kind: 'failed'; readonly error: SerializedError }
