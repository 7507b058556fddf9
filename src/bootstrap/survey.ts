/** What each recipe offers, and how this host would make it; the answer of the verb `recipes`. */
import { inspectHost } from './host.ts'
import { draftTree } from './plan.ts'
import { loadRecipe, recipeIds } from './recipes.ts'
import { strategiesOf } from './strategies.ts'

export interface RecipeSurvey {
  readonly id: string
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
 * @param ids recipes to look at; none means all
 * @throws NspawnError `RECIPE_UNKNOWN`
 */
export async function surveyRecipes(ids: readonly string[]): Promise<RecipeSurvey[]> {
  const host = inspectHost()
  return Promise.all(
    (ids.length === 0 ? recipeIds : ids).map(async (id) => {
      const recipe = await loadRecipe(id)
      const draft = draftTree({ recipe: id }, recipe, host, '/var/lib/machines')
      const strategies = strategiesOf(recipe).map((strategy) => {
        const obstacle = strategy.obstacle(draft, host)
        return { id: strategy.id, obstacle: obstacle?.reason, hint: obstacle?.hint }
      })
      return {
        id,
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
