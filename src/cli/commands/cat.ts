/** `cat NAME|FILE...`: the settings files of machines. */
import { readSettings } from '../../images/settings-place.ts'
import type { VerbModule } from '../context.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<names...>', 'machines, or paths of .nspawn files')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((names: string[]) =>
      run(async (context) => {
        const files = names.map((name) => readSettings(name, context.machinesDirectory))
        context.result(
          files,
          files.map(({ path, text }) => `# ${path}\n${text.trimEnd()}`).join('\n\n'),
        )
        return 0
      }),
    )
}
