/** The strategies there are. A recipe names those that suit it, in its order of preference. */
import type { Recipe, StrategyId } from '../recipe.ts'
import { debootstrap } from './strategies/debootstrap.ts'
import { dnf, dnf5 } from './strategies/dnf.ts'
import { embedded } from './strategies/embedded.ts'
import { image } from './strategies/image.ts'
import { mmdebstrap } from './strategies/mmdebstrap.ts'
import { pacman } from './strategies/pacman.ts'
import { pacstrap } from './strategies/pacstrap.ts'
import { zypper } from './strategies/zypper.ts'
import { inToolsTree } from './tools-tree.ts'
import type { Strategy } from './strategy.ts'

const toolsPrefix = 'tools:'

type HostStrategyId = Exclude<StrategyId, `tools:${string}`>

const strategies: Readonly<Record<HostStrategyId, Strategy>> = {
  embedded,
  debootstrap,
  mmdebstrap,
  pacman,
  pacstrap,
  image,
  dnf5,
  dnf,
  zypper,
}

/** In the recipe's order. */
export function strategiesOf(recipe: Recipe): Strategy[] {
  return recipe.strategies.map((id) =>
    isInTools(id)
      ? inToolsTree(strategies[id.slice(toolsPrefix.length) as HostStrategyId])
      : strategies[id],
  )
}

function isInTools(id: StrategyId): id is `tools:${HostStrategyId}` {
  return id.startsWith(toolsPrefix)
}
