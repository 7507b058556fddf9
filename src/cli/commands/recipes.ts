/** `recipes [NAME...]` */
import { groupReasons } from '../../bootstrap/plan.ts'
import { surveyRecipes, type RecipeSurvey } from '../../bootstrap/survey.ts'
import type { VerbModule } from '../context.ts'
import { formatTable } from '../table.ts'
import { wrap } from '../wrap.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'recipes to show in full, or paths of your own')
    .action((names: string[]) =>
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
  const columns = [{ title: 'NAME' }, { title: 'DEFAULT' }, { title: 'MADE WITH' }]
  const table = formatTable(
    columns,
    recipes.map((recipe) => [recipe.id, recipe.defaultRelease, recipe.taken ?? '-']),
  ).split('\n')
  const width = Math.max(...table.map((line) => line.length)) + 1
  const lines = table.flatMap((line, index) => {
    const why = index === 0 ? ['WHY'] : wrap(reason(recipes[index - 1]!), lineWidth() - width)
    return why.map((part, row) => (row === 0 ? line : '').padEnd(width) + part)
  })
  return lines.join('\n')
}

/** Of the terminal, or what everybody has. */
function lineWidth(): number {
  return process.stdout.columns ?? 80
}

function reason({ strategies, taken }: RecipeSurvey): string {
  if (strategies[0]?.id === taken) return 'first choice'
  const passed = strategies.flatMap(({ id, obstacle }) =>
    obstacle === undefined ? [] : [{ id, reason: obstacle }],
  )
  const groups = groupReasons(passed)
  return groups.length === 1 && taken === undefined ? passed[0]!.reason : groups.join('; ')
}

function inFull(recipe: RecipeSurvey): string {
  const releases = recipe.releases.map(
    ({ name, names }) => `${name}${names.length === 0 ? '' : ` (${names.join(', ')})`}`,
  )
  const rows: [string, string][] = [
    ...(recipe.extends === undefined ? [] : ([['extends', recipe.extends]] as [string, string][])),
    ['releases', `${releases.join(', ')}; default ${recipe.defaultRelease}`],
    ['architectures', recipe.architectures.join(', ')],
    ['mirror', recipe.mirror],
    ...labelled('made with', ways(recipe)),
    ...labelled('changes', recipe.changes),
  ]
  const indent = 17
  const lines = rows.flatMap(([label, text]) =>
    wrap(text, lineWidth() - indent - 2).map(
      (part, row) =>
        (row === 0 && label !== '' ? `  ${label}:` : '').padEnd(row === 0 ? indent : indent + 2) +
        part,
    ),
  )
  return [`${recipe.id}: ${recipe.title}`, ...lines].join('\n')
}

function labelled(label: string, texts: readonly string[]): [string, string][] {
  return texts.map((text, index) => [index === 0 ? label : '', text])
}

/** One line for each way that works, and one for each reason why others do not. */
function ways({ strategies, taken }: RecipeSurvey): string[] {
  const said = strategies.map(({ id, obstacle, hint }) => {
    if (id === taken) return { id, reason: 'taken on this host' }
    if (obstacle === undefined) return { id, reason: `works on this host, with --via=${id}` }
    return { id, reason: `${obstacle}${hint === undefined ? '' : ` (${hint})`}` }
  })
  return groupReasons(said)
}
