/** Where a tree is made, who hears about it, and what may stop it. */
import type { LogSink } from '../log.ts'

export interface CreateContext {
  readonly machinesDirectory: string
  /** Caches, logs and manifests go here. */
  readonly stateDirectory: string
  readonly log: LogSink
  /** `off`: no kept tree is taken, and none is kept. Default `on`. */
  readonly cache?: 'on' | 'off' | undefined
  readonly signal?: AbortSignal | undefined
}
