/**
 * What `runContainer()` and a supervisor say to each other, one JSON message a line, on a channel that each container
 * has of its own. When the asking side closes it, the container is killed.
 */
import type { SerializedError } from '../errors.ts'
import type { LogEvent } from '../log.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import type { ContainerSecrets } from './secrets.ts'
import type { ContainerEnd } from './supervisor.ts'

/** Comes first. */
export interface ContainerOrder {
  readonly plan: ContainerPlan
  readonly secrets: ContainerSecrets
  /** Empty directory of the host; the root is mounted there in the outer child's namespace. */
  readonly rootPlace: string
}

/** As SIGTERM does to a `tsnspawn`: once to halt the container, once more to kill it. */
export interface ContainerRequest {
  readonly kind: 'terminate'
}

export type ContainerAnswer =
  /** The first one, before anything is done: a supervisor that dies without has done nothing. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'event'; readonly event: LogEvent }
  /** The last one. */
  | { readonly kind: 'ended'; readonly end: ContainerEnd }
  | { readonly kind: 'failed'; readonly error: SerializedError }

/** The zygote's packet socket is its stdin. A packet asks for a container: stdin, stdout, stderr, channel. */
export const ZYGOTE_FD = 0
