/** The verbs, in the order that help shows them. A verb's file is loaded when it is called for. */
import type { VerbModule } from './context.ts'

export interface Verb {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<VerbModule>
}

export const verbs: readonly Verb[] = [
  {
    name: 'create',
    summary: 'make an OS tree from a recipe',
    load: () => import('./commands/create.ts'),
  },
  {
    name: 'recipes',
    summary: 'show the recipes, and how each would be made on this host',
    load: () => import('./commands/recipes.ts'),
  },
]
