/** `completion SHELL`: what a shell needs to complete options, machines and images. */
import { usageError } from '../../errors.ts'
import { recipeIds } from '../../bootstrap/recipes.ts'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import {
  completedOption,
  tsnspawnBuildVerbs,
  tsnspawnOptions,
  type Programs,
} from '../completion/model.ts'
import { zshCompletion } from '../completion/zsh.ts'
import type { VerbModule } from '../context.ts'

const shells: Readonly<Record<string, (programs: Programs) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      [
        '',
        'The script goes where the shell looks for one, and serves both programs:',
        '  bash  source <(tsnspawn-build completion bash)',
        '  zsh   a file _tsnspawn in a directory of $fpath',
        '  fish  ~/.config/fish/completions/tsnspawn.fish, and the same as tsnspawn-build.fish',
      ].join('\n'),
    )
    .action((shell: string) =>
      run(async (context) => {
        const make = shells[shell]
        if (make === undefined) {
          throw usageError(`there is no completion for ${shell}`, 'there are: bash, zsh, fish')
        }
        const { verbs } = await import('../verbs.ts')
        const script = make({
          tsnspawn: tsnspawnOptions(),
          global: (command.parent?.options ?? [])
            .filter(({ long }) => long !== '--version')
            .map(completedOption),
          verbs: await tsnspawnBuildVerbs(verbs),
          recipes: recipeIds,
        })
        context.result(script, script.trimEnd())
        return 0
      }),
    )
}
