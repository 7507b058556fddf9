/**
 * What the shells are told of both programs: commands, their options, and what may stand behind each. Taken from the
 * table of settings and from the verbs themselves, so that nothing is said twice.
 */
import { Command } from 'commander'
import type { Option } from '../../settings/option.ts'
import { options as settingsOptions } from '../../settings/table.ts'
import { imageClasses } from '../../transfer/pull/image-class.ts'
import { compressions } from '../../transfer/compression.ts'
import type { RunVerb } from '../context.ts'
import type { Verb } from '../verbs.ts'

/** What a value or an argument is; a list is of words. */
export type Completed =
  | 'path'
  | 'directory'
  | 'image'
  | 'machine'
  | 'recipe'
  | 'text'
  | readonly string[]

export interface CompletedOption {
  /** Without dashes. */
  readonly long: string | undefined
  readonly short: string | undefined
  readonly help: string
  readonly value: 'none' | 'required' | 'optional'
  readonly completed: Completed
}

export interface CompletedVerb {
  readonly name: string
  readonly help: string
  readonly options: readonly CompletedOption[]
  /** In order; the last goes for all that follow. */
  readonly positions: readonly Completed[]
}

/** What the arguments of each verb are. */
export const positions: Readonly<Record<string, readonly Completed[]>> = {
  create: ['recipe', 'text'],
  update: ['image'],
  recipes: ['recipe'],
  build: ['image', 'path'],
  test: ['image', 'path'],
  builds: ['text'],
  log: ['text'],
  attach: ['text', 'path'],
  report: ['path'],
  layers: ['text'],
  run: ['image', 'path'],
  'list-images': ['text'],
  images: ['text'],
  'image-status': ['image'],
  'show-image': ['image'],
  dissect: ['path'],
  mount: ['path', 'directory'],
  umount: ['directory'],
  clone: ['image', 'text'],
  rename: ['image', 'text'],
  'read-only': ['image', ['yes', 'no']],
  remove: ['image'],
  'set-limit': ['image', 'text'],
  clean: ['text'],
  edit: ['image'],
  cat: ['image'],
  list: ['text'],
  status: ['machine'],
  show: ['machine'],
  poweroff: ['machine'],
  stop: ['machine'],
  reboot: ['machine'],
  terminate: ['machine'],
  kill: ['machine'],
  shell: ['machine', 'path'],
  login: ['machine', 'text'],
  start: ['image'],
  enable: ['image'],
  disable: ['image'],
  'copy-to': ['machine', 'path', 'text'],
  'copy-from': ['machine', 'text', 'path'],
  bind: ['machine', 'path', 'text'],
  'pull-tar': ['text', 'text'],
  'pull-raw': ['text', 'text'],
  'pull-oci': ['text', 'text'],
  'list-transfers': ['text'],
  'cancel-transfer': ['text'],
  'import-tar': ['path', 'text'],
  'import-raw': ['path', 'text'],
  'import-fs': ['directory', 'text'],
  'export-tar': ['image', 'path'],
  'export-raw': ['image', 'path'],
  completion: [['bash', 'zsh', 'fish'], 'text'],
}

/** Values of options that are words of a few. */
const words: Readonly<Record<string, readonly string[]>> = {
  'kill-whom': ['leader', 'all'],
  output: ['table', 'json', 'json-pretty'],
  verify: ['no', 'checksum', 'signature'],
  class: [...imageClasses],
  'keep-download': ['auto', 'yes', 'no'],
  format: compressions,
  network: ['host0', 'none'],
}

/** The options of `tsnspawn` that work and are not obsolete. */
export function tsnspawnOptions(): CompletedOption[] {
  return settingsOptions
    .filter(({ hidden, read }) => hidden === undefined && read !== undefined)
    .map((option) => ({
      long: option.name,
      short: option.short,
      help: option.help,
      value: option.value,
      completed: valueOf(option),
    }))
}

function valueOf(option: Option): Completed {
  if (option.list !== undefined) return option.list()
  if (option.name === 'machine') return 'image'
  const placeholder = option.placeholder ?? ''
  if (/DIR/.test(placeholder) || option.name === 'directory' || option.name === 'template')
    return 'directory'
  return /PATH|FILE/.test(placeholder) ? 'path' : 'text'
}

/** The verbs of `tsnspawn-build` with their options, loaded from their files. */
export async function tsnspawnBuildVerbs(verbs: readonly Verb[]): Promise<CompletedVerb[]> {
  const doNothing: RunVerb = async () => {}
  return Promise.all(
    verbs.map(async ({ name, summary, load }) => {
      const command = new Command(name)
      const module = await load()
      module.define(command, doNothing)
      return {
        name,
        help: summary,
        options: command.options.map(completedOption),
        positions: positions[name] ?? ['text'],
      }
    }),
  )
}

/** An option of commander's. */
export function completedOption(option: {
  readonly long?: string | undefined
  readonly short?: string | undefined
  readonly description: string
  readonly required: boolean
  readonly optional: boolean
  readonly flags: string
}): CompletedOption {
  const long = option.long?.replace(/^--/, '')
  const listed = long === undefined ? undefined : words[long]
  const isVerbOutput = !(long === 'output' && option.flags.includes('<dir>'))
  return {
    long,
    short: option.short?.replace(/^-/, ''),
    help: option.description,
    value: option.required ? 'required' : option.optional ? 'optional' : 'none',
    completed:
      listed !== undefined && isVerbOutput
        ? listed
        : /<dir>/.test(option.flags)
          ? 'directory'
          : /file>|<program>/.test(option.flags)
            ? 'path'
            : 'text',
  }
}

/** Everything that a script is made from. */
export interface Programs {
  readonly tsnspawn: readonly CompletedOption[]
  /** Before and behind every verb of `tsnspawn-build`. */
  readonly global: readonly CompletedOption[]
  readonly verbs: readonly CompletedVerb[]
  readonly recipes: readonly string[]
}

/** How the option is written, with the `=` that a long one's value needs. */
export function writtenForms({ long, short, value }: CompletedOption): string[] {
  const longForm = long === undefined ? [] : [value === 'required' ? `--${long}=` : `--${long}`]
  return [...longForm, ...(short === undefined ? [] : [`-${short}`])]
}
