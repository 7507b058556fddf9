/** The verbs, in the order that help shows them. A verb's file is loaded when it is called for. */
import type { VerbModule } from './context.ts'

export interface Verb {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<VerbModule>
}

export const verbs: readonly Verb[] = [
]
