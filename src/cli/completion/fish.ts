/** Completion for fish: one `complete` line an option, and one for the arguments of each verb. */
import type { Completed, CompletedOption, Programs } from './model.ts'

export function fishCompletion({ tsnspawn, global, verbs, recipes }: Programs): string {
  const names = verbs.map(({ name }) => name).join(' ')
  return `# Completion for tsnspawn and tsnspawn-build, made by tsnspawn-build completion fish.

function __tsnspawn_machines
    set -l place /run/tsnspawn
    set -q TSNSPAWN_RUNTIME_DIR; and set place $TSNSPAWN_RUNTIME_DIR
    for file in $place/machines/*.json
        string replace -r '.*/(.*)\\.json$' '$1' -- $file
    end
end

function __tsnspawn_images
    set -l place /var/lib/machines
    set -q TSNSPAWN_MACHINES_DIR; and set place $TSNSPAWN_MACHINES_DIR
    for file in $place/*
        if test -d $file; or string match -q '*.raw' -- $file
            string replace -r '.*/' '' -- $file | string replace -r '\\.raw$' ''
        end
    end
end

function __tsnspawn_no_verb
    not __fish_seen_subcommand_from ${names}
end

${tsnspawn.map((option) => optionLine('tsnspawn', option, recipes)).join('\n')}

complete -c tsnspawn-build -f
${global.map((option) => optionLine('tsnspawn-build', option, recipes)).join('\n')}
${verbs
  .map(({ name, help, options, positions }) =>
    [
      `complete -c tsnspawn-build -n __tsnspawn_no_verb -a ${name} -d ${quoted(help)}`,
      ...options.map((option) => optionLine('tsnspawn-build', option, recipes, name)),
      ...argumentLines(name, positions, recipes),
    ].join('\n'),
  )
  .join('\n')}
`
}

/** Fish has no places for arguments: what may stand anywhere is offered. */
function argumentLines(
  verb: string,
  positions: readonly Completed[],
  recipes: readonly string[],
): string[] {
  const seen = `-n '__fish_seen_subcommand_from ${verb}'`
  return [...new Set(positions)]
    .filter((completed) => completed !== 'text')
    .map((completed) => `complete -c tsnspawn-build ${seen} ${argument(completed, recipes)}`)
}

function optionLine(
  program: string,
  { long, short, help, value, completed }: CompletedOption,
  recipes: readonly string[],
  verb?: string,
): string {
  return [
    `complete -c ${program}`,
    ...(verb === undefined ? [] : [`-n '__fish_seen_subcommand_from ${verb}'`]),
    ...(long === undefined ? [] : [`-l ${long}`]),
    ...(short === undefined ? [] : [`-s ${short}`]),
    ...(value === 'required' ? ['-r', argument(completed, recipes)] : []),
    `-d ${quoted(help)}`,
  ]
    .filter((word) => word !== '')
    .join(' ')
}

function argument(completed: Completed, recipes: readonly string[]): string {
  switch (completed) {
    case 'path':
    case 'directory':
      return '-F'
    case 'image':
      return "-f -a '(__tsnspawn_images)'"
    case 'machine':
      return "-f -a '(__tsnspawn_machines)'"
    case 'recipe':
      return `-f -a '${recipes.join(' ')}'`
    case 'text':
      return '-f'
    default:
      return `-f -a '${completed.join(' ')}'`
  }
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, (char) => `\\${char}`)}'`
}
