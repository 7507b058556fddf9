/** What each recipe offers, and how this host would make it; the answer of the verb `recipes`. */
import type { Architecture } from '../recipe.ts'
import { canExecute, inspectHost } from './host.ts'
import { draftTree, emulatorHint, type Obstacle } from './plan.ts'
import { recipeChanges } from './recipe-changes.ts'
import { loadWithBase, recipeIds } from './recipes.ts'
import { strategiesOf } from './strategies.ts'

export interface RecipeSurvey {
  readonly id: string
  /** The recipe that one of a user's says what it changes of. */
  readonly extends?: string
  /** What it changes, in words, by field. */
  readonly changes: readonly string[]
  readonly title: string
  readonly releases: readonly { readonly name: string; readonly names: readonly string[] }[]
  readonly defaultRelease: string
  readonly architectures: readonly string[]
  readonly mirror: string
  /** In the recipe's order; the first without an obstacle is the one taken. */
  readonly strategies: readonly {
    readonly id: string
    readonly obstacle: string | undefined
    readonly hint: string | undefined
  }[]
  readonly taken: string | undefined
}

/**
 * @param ids recipes to look at, or paths of own ones; none means all
 * @throws NspawnError `RECIPE_UNKNOWN`, `RECIPE_WRONG`
 */
export async function surveyRecipes(ids: readonly string[]): Promise<RecipeSurvey[]> {
  const host = inspectHost()
  return Promise.all(
    (ids.length === 0 ? recipeIds : ids).map(async (id) => {
      const { recipe, base } = await loadWithBase(id)
      const known = Object.keys(recipe.architectures) as Architecture[]
      const architecture = known.find((one) => one === host.architecture) ?? known[0]!
      // Drafted as if it could run, so that the rest can be told.
      const able = { ...host, emulated: [...host.emulated, architecture] }
      const draft = draftTree({ recipe: id, architecture }, recipe, able, '/var/lib/machines')
      const foreign: Obstacle = {
        reason: `programs of ${draft.packageArchitecture} do not run on this host`,
        hint: emulatorHint,
      }
      const runs = canExecute(host, architecture) !== 'no'
      const strategies = strategiesOf(recipe).map((strategy) => {
        const obstacle = runs ? strategy.obstacle(draft, host) : foreign
        return { id: strategy.id, obstacle: obstacle?.reason, hint: obstacle?.hint }
      })
      return {
        id: recipe.id,
        ...(base === undefined ? {} : { extends: base.id }),
        changes: base === undefined ? [] : recipeChanges(base, recipe),
        title: recipe.title,
        releases: recipe.releases.map(({ name, version, aliases }) => ({
          name,
          names: [
            ...(version === undefined || version === name ? [] : [version]),
            ...(aliases ?? []),
          ],
        })),
        defaultRelease: recipe.defaultRelease,
        architectures: Object.values(recipe.architectures),
        mirror: draft.archive.mirror,
        strategies,
        taken: strategies.find(({ obstacle }) => obstacle === undefined)?.id,
      }
    }),
  )
}
