/** What the steps of a plan are executed with. */
import type { ContainerSecrets } from './secrets.ts'

export interface StepContext {
  /** Descriptor of the container's root directory, as it is mounted now. */
  readonly root: number
  /** Owner of what is made: the first id of the container's range as this process sees it. */
  readonly owner: number
  /** The container's id range on the host; undefined without a user namespace and in the inner child. */
  readonly users: { readonly base: number; readonly length: number } | undefined
  /** Contents of container-uuid, with dashes. */
  readonly containerUuid: string
  /** Called with a bound socket for `notify-socket`. */
  readonly onNotifySocket: (path: string, root: number) => void
  readonly secrets: ContainerSecrets
  readonly warn: (text: string) => void
}
