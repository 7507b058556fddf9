/** Completion for bash: a function for each program; it needs nothing but bash itself. */
import { writtenForms, type Completed, type CompletedOption, type Programs } from './model.ts'

export function bashCompletion({ tsnspawn, global, verbs, recipes }: Programs): string {
  return `# Completion for tsnspawn and tsnspawn-build, made by tsnspawn-build completion bash.

_tsnspawn_machines() {
  local file
  for file in "\${TSNSPAWN_RUNTIME_DIR:-/run/tsnspawn}"/machines/*.json; do
    [[ -e $file ]] || continue
    file=\${file##*/}
    printf '%s\\n' "\${file%.json}"
  done
}

_tsnspawn_images() {
  local file
  for file in "\${TSNSPAWN_MACHINES_DIR:-/var/lib/machines}"/*; do
    [[ -d $file || $file == *.raw ]] || continue
    file=\${file##*/}
    printf '%s\\n' "\${file%.raw}"
  done
}

# Offers words; a word that ends in = is gone on with.
_tsnspawn_offer() {
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$1" -- "$cur")
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}

_tsnspawn_files() {
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$1" -- "$cur")
  compopt -o filenames 2>/dev/null
  return 0
}

# Bash takes = for a word of its own: sets option to what the word under the cursor is the value of.
_tsnspawn_words() {
  cur=\${COMP_WORDS[COMP_CWORD]}
  local prev=\${COMP_WORDS[COMP_CWORD - 1]}
  option= attached=
  if [[ $cur == = ]]; then
    option=$prev attached=1 cur=
  elif [[ $prev == = && $COMP_CWORD -ge 2 ]]; then
    option=\${COMP_WORDS[COMP_CWORD - 2]} attached=1
  elif [[ $prev == -* ]]; then
    option=$prev
  fi
}

_tsnspawn() {
  local cur option attached
  COMPREPLY=()
  _tsnspawn_words
  case $option in
${valueCases(tsnspawn, recipes)}
  esac
  [[ -n $attached ]] && return
  if [[ $cur == -* ]]; then
    _tsnspawn_offer '${forms(tsnspawn)}'
  else
    _tsnspawn_files -f
  fi
}

_tsnspawn_build() {
  local cur option attached verb= position=0 i word
  COMPREPLY=()
  _tsnspawn_words
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      =) ((i++)) ;;
      ${separateValues([...global, ...verbs.flatMap((verb) => verb.options)])}) [[ \${COMP_WORDS[i + 1]} == = ]] || ((i++)) ;;
      -*) ;;
      *) if [[ -z $verb ]]; then verb=$word; else ((position++)); fi ;;
    esac
  done
  case $verb:$option in
${verbs
  .filter((verb) => verb.options.some(({ value }) => value === 'required'))
  .map((verb) => valueCases(verb.options, recipes, `${verb.name}:`))
  .join('\n')}
  esac
  case $option in
${valueCases(global, recipes)}
  esac
  [[ -n $attached ]] && return
  if [[ $cur == -* ]]; then
    case $verb in
${verbs.map((verb) => `      ${verb.name}) _tsnspawn_offer '${forms([...verb.options, ...global, help])}' ;;`).join('\n')}
      *) _tsnspawn_offer '${forms([...global, help])} --version' ;;
    esac
    return
  fi
  if [[ -z $verb ]]; then
    _tsnspawn_offer '${[...verbs.map(({ name }) => name), 'help'].join(' ')}'
    return
  fi
  case $verb:$position in
${verbs.map(positionCases(recipes)).join('\n')}
    help:*) _tsnspawn_offer '${verbs.map(({ name }) => name).join(' ')}' ;;
  esac
}

complete -F _tsnspawn tsnspawn
complete -F _tsnspawn_build tsnspawn-build
`
}

const help: CompletedOption = {
  long: 'help',
  short: 'h',
  help: '',
  value: 'none',
  completed: 'text',
}

function forms(options: readonly CompletedOption[]): string {
  return [...new Set(options.flatMap(writtenForms))].join(' ')
}

/** Options that take the word behind them, as a pattern of `case`. */
function separateValues(options: readonly CompletedOption[]): string {
  const names = options
    .filter(({ value }) => value === 'required')
    .flatMap((option) => dashed(option))
  return [...new Set(names)].join('|')
}

function dashed({ long, short }: CompletedOption): string[] {
  return [
    ...(long === undefined ? [] : [`--${long}`]),
    ...(short === undefined ? [] : [`-${short}`]),
  ]
}

function valueCases(
  options: readonly CompletedOption[],
  recipes: readonly string[],
  prefix = '',
): string {
  return options
    .filter(({ value }) => value === 'required')
    .map((option) => {
      const names = dashed(option).map((name) => `${prefix}${name}`)
      return `    ${names.join('|')}) ${action(option.completed, recipes)}; return ;;`
    })
    .join('\n')
}

function positionCases(recipes: readonly string[]) {
  return ({ name, positions }: Programs['verbs'][number]): string =>
    positions
      .map((completed, i) => {
        const which = i === positions.length - 1 ? '*' : String(i)
        return `    ${name}:${which}) ${action(completed, recipes)} ;;`
      })
      .join('\n')
}

function action(completed: Completed, recipes: readonly string[]): string {
  switch (completed) {
    case 'path':
      return '_tsnspawn_files -f'
    case 'directory':
      return '_tsnspawn_files -d'
    case 'image':
      return '_tsnspawn_offer "$(_tsnspawn_images)"'
    case 'machine':
      return '_tsnspawn_offer "$(_tsnspawn_machines)"'
    case 'recipe':
      return `_tsnspawn_offer '${recipes.join(' ')}'`
    case 'text':
      return ':'
    default:
      return `_tsnspawn_offer '${completed.join(' ')}'`
  }
}
