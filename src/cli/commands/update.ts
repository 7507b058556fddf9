/** `update NAME...`: the packages of images, by their own package managers. */
import { updateTree, type UpdatedTree } from '../../bootstrap/update.ts'
import { requireImageOrHost } from '../../images/discover.ts'
import type { VerbModule } from '../context.ts'
import { addListOptions, checkListOutput, listText, type ListOutput } from '../list-output.ts'
import { seconds } from '../reporters/plain.ts'
import { requireRoot } from '../root.ts'
import { formatTable } from '../table.ts'

interface UpdateOptions extends ListOutput {
  readonly dryRun?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<names...>', 'images to update')
    .option('-n, --dry-run', 'update a copy that is thrown away, and show what would change')
  addListOptions(command)
  command.action((names: string[], options: UpdateOptions) =>
    run(async (context) => {
      checkListOutput(options)
      requireRoot('updating images')
      const images = names.map((name) => requireImageOrHost(name, context.machinesOverride))
      const mode = options.dryRun === true ? 'preview' : 'apply'
      const updated: UpdatedTree[] = []
      for (const image of images) {
        const tree = await updateTree(image, mode, context)
        updated.push(tree)
        context.log({ kind: 'notice', text: summary(tree, mode) })
      }
      context.result(
        updated,
        listText(updated, options, () => table(updated, options.legend)),
      )
      return 0
    }),
  )
}

function summary({ name, changes, durationMs }: UpdatedTree, mode: 'preview' | 'apply'): string {
  if (changes.length === 0) return `${name} is up to date`
  const packages = changes.length === 1 ? '1 package' : `${changes.length} packages`
  if (mode === 'preview') return `${packages} of ${name} would change; it is as it was`
  return `${name} is updated: ${packages} in ${seconds(durationMs)}`
}

function table(updated: readonly UpdatedTree[], legend: boolean): string {
  const rows = updated.flatMap(({ name, changes }) =>
    changes.map((change) => [name, change.name, change.from ?? '-', change.to ?? '-']),
  )
  if (rows.length === 0) return ''
  const columns = [{ title: 'IMAGE' }, { title: 'PACKAGE' }, { title: 'OLD' }, { title: 'NEW' }]
  const text = formatTable(columns, rows)
  return legend ? text : text.split('\n').slice(1).join('\n')
}
