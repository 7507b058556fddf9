/** `recipes [NAME...]` */
import { surveyRecipes, type RecipeSurvey } from '../../bootstrap/survey.ts'
import type { VerbModule } from '../context.ts'
import { formatTable } from '../table.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('[names...]', 'recipes to show in full').action((names: string[]) =>
    run(async (context) => {
      const recipes = await surveyRecipes(names)
      context.result(
        recipes,
        names.length === 0 ? overview(recipes) : recipes.map(inFull).join('\n\n'),
      )
      return 0
    }),
  )
}

function overview(recipes: readonly RecipeSurvey[]): string {
  const columns = [
    { title: 'NAME' },
    { title: 'DEFAULT' },
    { title: 'MADE WITH' },
    { title: 'WHY' },
  ]
  return formatTable(
    columns,
    recipes.map((recipe) => [
      recipe.id,
      recipe.defaultRelease,
      recipe.taken ?? '-',
      reason(recipe),
    ]),
  )
}

function reason({ strategies, taken }: RecipeSurvey): string {
  const passed = strategies
    .filter(({ obstacle }) => obstacle !== undefined)
    .map(({ id, obstacle }) => `${id}: ${obstacle}`)
  if (strategies[0]?.id === taken) return 'first choice'
  return passed.join('; ')
}

function inFull(recipe: RecipeSurvey): string {
  const releases = recipe.releases.map(
    ({ name, names }) => `${name}${names.length === 0 ? '' : ` (${names.join(', ')})`}`,
  )
  const ways = recipe.strategies.map(({ id, obstacle, hint }) => {
    if (id === recipe.taken) return `${id}: taken on this host`
    if (obstacle === undefined) return `${id}: works on this host, with --via=${id}`
    return `${id}: ${obstacle}${hint === undefined ? '' : ` (${hint})`}`
  })
  return [
    `${recipe.id}: ${recipe.title}`,
    `  releases:      ${releases.join(', ')}; default ${recipe.defaultRelease}`,
    `  architectures: ${recipe.architectures.join(', ')}`,
    `  mirror:        ${recipe.mirror}`,
    `  made with:     ${ways.join('\n                 ')}`,
  ].join('\n')
}
