/** The strategies there are. A recipe names those that suit it, in its order of preference. */
import type { Recipe, StrategyId } from '../recipe.ts'
import { debootstrap } from './strategies/debootstrap.ts'
import { embedded } from './strategies/embedded.ts'
import { mmdebstrap } from './strategies/mmdebstrap.ts'
import type { Strategy } from './strategy.ts'

const strategies: Readonly<Record<StrategyId, Strategy>> = { embedded, debootstrap, mmdebstrap }

export function strategiesOf(recipe: Recipe): Strategy[] {
  return recipe.strategies.map((id) => strategies[id])
}
