/** `report [BUILD|DIR...]`: builds as a page in a file. */
import { writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { findReported } from '../../build/find-reported.ts'
import { listBuilds } from '../../build/history.ts'
import { reportPage } from '../../build/report.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

interface ReportOptions {
  readonly output: string
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument(
      '[builds...]',
      'ids or names of builds, or with a slash output directories of builds and chains; default all that are remembered',
    )
    .option('-o, --output <file>', 'the page', 'builds.html')
    .action((words: string[], options: ReportOptions) =>
      run(async (context) => {
        const path = resolve(options.output)
        const needsHistory = words.length === 0 || words.some((word) => !word.includes('/'))
        if (needsHistory) requireRoot('reading the history of builds')
        const history = needsHistory ? await listBuilds(context.stateDirectory) : []
        const builds = await findReported(
          words.map((word) => (word.includes('/') ? resolve(word) : word)),
          history,
          dirname(path),
        )
        await writeFile(path, reportPage(builds))
        context.result({ path, builds: builds.length }, `${path}: ${builds.length} builds`)
        return 0
      }),
    )
}
