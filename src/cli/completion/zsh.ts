/** Completion for zsh: one file for both programs, to be put into a directory of `$fpath` as `_tsnspawn`. */
import type { Completed, CompletedOption, CompletedVerb, Programs } from './model.ts'

export function zshCompletion({ tsnspawn, global, verbs, recipes }: Programs): string {
  return `#compdef tsnspawn tsnspawn-build
# Completion for tsnspawn and tsnspawn-build, made by tsnspawn-build completion zsh.

_tsnspawn_machines() {
  local -a found
  found=("\${TSNSPAWN_RUNTIME_DIR:-/run/tsnspawn}"/machines/*.json(N:t:r))
  compadd -a found
}

_tsnspawn_images() {
  local -a found
  found=("\${TSNSPAWN_MACHINES_DIR:-/var/lib/machines}"/*(N/:t) "\${TSNSPAWN_MACHINES_DIR:-/var/lib/machines}"/*.raw(N:t:r))
  compadd -a found
}

_tsnspawn_command() {
  _arguments -s -S ${specs(tsnspawn, recipes)} \\
    '*:command:_files'
}

_tsnspawn_build() {
  local curcontext=$curcontext state line
  _arguments -C ${specs(global, recipes)} \\
    '1:verb:->verb' \\
    '*::argument:->argument'
  case $state in
    verb)
      local -a verbs
      verbs=(
${verbs.map(({ name, help }) => `        ${quoted(`${name}:${help}`)}`).join('\n')}
      )
      _describe verb verbs
      ;;
    argument)
      case $line[1] in
${verbs.map((verb) => verbCase(verb, global, recipes)).join('\n')}
      esac
      ;;
  esac
}

case $service in
  tsnspawn) _tsnspawn_command "$@" ;;
  tsnspawn-build) _tsnspawn_build "$@" ;;
esac
`
}

function verbCase(
  { name, options, positions }: CompletedVerb,
  global: readonly CompletedOption[],
  recipes: readonly string[],
): string {
  const places = positions.map((completed, i) => {
    const which = i === positions.length - 1 ? '*' : String(i + 1)
    return `            ${quoted(`${which}:${label(completed)}:${action(completed, recipes)}`)}`
  })
  return `        ${name})
          _arguments -s -S ${specs([...options, ...global], recipes)} \\
${places.join(' \\\n')}
          ;;`
}

function specs(options: readonly CompletedOption[], recipes: readonly string[]): string {
  return options
    .flatMap(({ long, short, help, value, completed }) => {
      const tail = value === 'required' ? `:${label(completed)}:${action(completed, recipes)}` : ''
      const told = `[${help.replace(/[[\]\\:]/g, (char) => `\\${char}`)}]`
      return [
        ...(long === undefined
          ? []
          : [`*--${long}${value === 'required' ? '=' : ''}${told}${tail}`]),
        ...(short === undefined
          ? []
          : [`*-${short}${value === 'required' ? '+' : ''}${told}${tail}`]),
      ]
    })
    .map((spec) => `\\\n    ${quoted(spec)}`)
    .join(' ')
}

function label(completed: Completed): string {
  return typeof completed === 'string' ? completed : 'value'
}

function action(completed: Completed, recipes: readonly string[]): string {
  switch (completed) {
    case 'path':
      return '_files'
    case 'directory':
      return '_files -/'
    case 'image':
      return '_tsnspawn_images'
    case 'machine':
      return '_tsnspawn_machines'
    case 'recipe':
      return `(${recipes.join(' ')})`
    case 'text':
      return ' '
    default:
      return `(${completed.join(' ')})`
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
