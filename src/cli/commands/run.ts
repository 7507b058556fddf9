/** `run NAME [-- COMMAND...]`: a command in a throw-away copy of an image. */
import { usageError } from '../../errors.ts'
import { isDisk, requireImage, type Image } from '../../images/discover.ts'
import { runContainer } from '../../runtime/client.ts'
import { settleWithFile } from '../../runtime/settle.ts'
import { readCommandLine } from '../../settings/argv.ts'
import type { Settings } from '../../settings/settings.ts'
import type { CliContext, VerbModule } from '../context.ts'

interface RunOptions {
  readonly persist?: boolean
  readonly network: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .usage('NAME [options] [-- COMMAND...]')
    .argument('<name>', 'image to run in')
    .argument('[words...]', 'options of tsnspawn, then the command; without one a shell')
    .option(
      '--persist',
      'write to the image itself; otherwise all changes are thrown away at the end',
    )
    .option('--no-network', 'only a loopback interface')
    .allowUnknownOption()
    .addHelpText(
      'after',
      [
        '',
        'All options of tsnspawn are understood here, among them:',
        '  -u, --user=USER     run the command as this user',
        '  -E, --setenv=A=B    set a variable',
        '      --bind=PATH     make a directory of the host visible',
        '      --chdir=PATH    start in this directory',
        '      --volatile=MODE keep changes in memory: yes, state or overlay',
        '',
        "The exit status is the command's own.",
      ].join('\n'),
    )
    .action((name: string, words: string[], options: RunOptions) =>
      run(async (context) => {
        const image = requireImage(name, context.machinesOverride)
        const settings = await runSettings(image, words, options, context)
        const outcome = await runContainer({ settings, stdio: 'inherit', signal: context.signal })
        return outcome.status
      }),
    )
}

async function runSettings(
  { path, type }: Image,
  words: readonly string[],
  options: RunOptions,
  context: CliContext,
): Promise<Settings> {
  const throwsAway = words.some((word) => word.startsWith('--volatile'))
  const argv = [
    `--${isDisk(type) ? 'image' : 'directory'}=${path}`,
    '--quiet',
    ...(options.persist === true || throwsAway ? [] : ['--ephemeral']),
    ...(options.network ? [] : ['--private-network']),
    ...words,
  ]
  const line = readCommandLine(argv, { cwd: process.cwd(), env: process.env, version: '' })
  if (line.kind === 'text') throw usageError('this option is for tsnspawn itself, not for run')
  const { settings, events } = await settleWithFile(line)
  for (const event of events) context.log(event)
  return settings
}
