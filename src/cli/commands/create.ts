/** `create RECIPE [NAME]` */
import { resolve } from 'node:path'
import { checkCreate, createTree, planCreate } from '../../bootstrap/create.ts'
import { outputForms, STANDARD_OUTPUT } from '../../bootstrap/output.ts'
import type { Customization } from '../../bootstrap/customize/customization.ts'
import { withoutHashes } from '../../bootstrap/manifest.ts'
import { planHash, type TreePlan, type TreeRequest } from '../../bootstrap/plan.ts'
import { readSourceDateEpoch } from '../../bootstrap/same-again.ts'
import { usageError } from '../../errors.ts'
import { withoutPasswords } from '../../url-secrets.ts'
import { fileSystems } from '../../images/disk/file-system.ts'
import { isStandard } from '../../transfer/local/open-file.ts'
import type { VerbModule } from '../context.ts'
import { sizeInBytes } from '../option-values.ts'
import {
  addCustomizeOptions,
  customizationWords,
  type CustomizeOptions,
} from '../customize-options.ts'
import { seconds } from '../reporters/plain.ts'

interface CreateOptions extends CustomizeOptions {
  readonly release?: string
  readonly arch?: string
  readonly variant?: string
  readonly include?: string[]
  readonly exclude?: string[]
  readonly components?: string[]
  readonly mirror?: string[]
  readonly offline?: boolean
  readonly checkValidUntil: boolean
  readonly keepFailed?: boolean
  readonly privateUsers?: boolean
  readonly repo?: string[]
  readonly keyring?: string
  readonly checkSignature: boolean
  readonly updates: boolean
  readonly via?: string
  readonly directory?: string
  readonly force?: boolean
  readonly output?: string
  readonly outputFile?: string
  readonly fileSystem?: string
  readonly verity?: boolean
  readonly size?: string
  readonly cache: boolean
  readonly dryRun?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<recipe>', 'see the verb recipes; or the path of one of your own')
    .argument('[name]', 'name of the image; default recipe and release, as in debian-trixie')
    .option(
      '-r, --release <name>',
      'codename, number or alias (stable, testing, sid); default the current stable',
    )
    .option(
      '-a, --arch <arch>',
      "architecture, by systemd's name or the distribution's; default the host's",
    )
    .option(
      '--variant <variant>',
      'minimal, build or boot, or a variant of the tool (minbase, buildd)',
    )
    .option(
      '--include <packages>',
      'packages to install too, divided by commas; may be repeated',
      list,
    )
    .option('--exclude <packages>', 'packages to leave out; may be repeated', list)
    .option('--components <names>', 'parts of the archive; default main', list)
    .option(
      '-m, --mirror <url>',
      "archive to take; default the host's own. Repeated: the next one is asked where one fails",
      repeated,
    )
    .option(
      '--repo <repository>',
      'another repository beside the own ones of the distribution: NAME=URL, or for apt a URL or a line of sources.list; may be repeated',
      repeated,
    )
    .option('--offline', 'fetch nothing: take all from the cache, or from this host')
    .option('--keyring <file>', "keys that may sign the archive; default the distribution's")
    .option('--no-check-signature', 'take an archive that nobody has signed')
    .option('--no-check-valid-until', 'take an archive that has not been updated for long')
    .option('--no-updates', 'only the release itself, without its updates and security suites')
    .option(
      '--via <strategy>',
      'how to make it, as the verb recipes names the ways; default the first that works here',
    )
    .option('-D, --directory <dir>', 'make the tree right there, not in the machines directory')
    .option('-f, --force', 'replace what is there, in one step once the new tree is ready')
    .option('--keep-failed', 'keep a tree that could not be made, and say where it is')
    .option(
      '--private-users',
      "run scripts of packages as users of a container, not as the host's root",
    )
    .option('-o, --output <form>', `${outputForms.join(', ')}; default directory`)
    .option(
      '--output-file <file>',
      'where an archive or disk image goes, - for standard output; says the form by its ending, too',
    )
    .option('--file-system <type>', `of a disk image: ${fileSystems.join(', ')}; default ext4`)
    .option('--verity', 'protect a disk image by hashes, and tell their root beside it')
    .option(
      '--size <bytes>',
      'of a disk image that machines write to; default its contents and more',
    )
    .option('--no-cache', 'make it anew even if the same tree was made before, and keep no copy')
  addCustomizeOptions(command)
    .option('-n, --dry-run', 'show the plan and change nothing')
    .action((recipe: string, name: string | undefined, options: CreateOptions) =>
      run(async (context) => {
        if (outputFile(options.outputFile) === STANDARD_OUTPUT && context.style === 'json')
          throw usageError('--json needs standard output for itself', 'give the name of a file')
        const plan = await planCreate(request(recipe, name, options), context.machinesDirectory)
        if (options.dryRun === true) {
          const notes = await checkCreate(plan, context.machinesDirectory)
          const shown = { ...withoutHashes(plan), planHash: planHash(plan), notes }
          const text = [describePlan(plan), ...notes.map((note) => row('note', note))].join('\n')
          context.result(JSON.parse(withoutPasswords(JSON.stringify(shown))), text)
          return 0
        }
        const cache = options.cache ? 'on' : 'off'
        const tree = await createTree(plan, { ...context, cache })
        const ready = `${tree.name} is ready: ${tree.packages} packages in ${seconds(tree.durationMs)}`
        // Standard output is the archive's.
        if (tree.path === STANDARD_OUTPUT) context.log({ kind: 'notice', text: ready })
        else
          context.result(
            tree,
            `${ready}\n  ${nouns[plan.output.form]}: ${tree.path}\n  log:  ${tree.log}`,
          )
        return 0
      }),
    )
}

function request(recipe: string, name: string | undefined, options: CreateOptions): TreeRequest {
  if (options.directory !== undefined && name !== undefined) {
    throw usageError('give a name or --directory=, not both')
  }
  return {
    recipe,
    name,
    release: options.release,
    architecture: options.arch,
    variant: options.variant,
    include: options.include,
    exclude: options.exclude,
    components: options.components,
    mirror: options.mirror?.[0],
    otherMirrors: options.mirror?.slice(1),
    network: options.offline === true ? 'forbidden' : 'allowed',
    outdated: options.checkValidUntil ? 'refused' : 'accepted',
    failed: options.keepFailed === true ? 'keep' : 'remove',
    users: options.privateUsers === true ? 'private' : 'host',
    repositories: options.repo,
    keyring: options.keyring === undefined ? undefined : resolve(options.keyring),
    signatures: options.checkSignature ? 'required' : 'ignored',
    updates: options.updates ? 'all' : 'none',
    via: options.via,
    directory: options.directory === undefined ? undefined : resolve(options.directory),
    existing: options.force === true ? 'replace' : 'keep',
    output: {
      form: options.output,
      file: outputFile(options.outputFile),
      fileSystem: options.fileSystem,
      verity: options.verity,
      sizeBytes: sizeInBytes(options.size, '--size'),
    },
    sourceDateEpoch: readSourceDateEpoch(process.env['SOURCE_DATE_EPOCH']),
    customize: { words: customizationWords(options), directory: process.cwd() },
  }
}

function repeated(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text]
}

function outputFile(said: string | undefined): string | undefined {
  if (said === undefined) return undefined
  return isStandard(said, 'stdout') ? STANDARD_OUTPUT : resolve(said)
}

function list(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(',').filter((word) => word !== '')]
}

function describePlan(plan: TreePlan): string {
  const rows: readonly (readonly [string, string])[] = [
    [
      nouns[plan.output.form],
      plan.destination + (plan.existing === 'replace' ? ' (replacing what is there)' : ''),
    ],
    ['form', describeOutput(plan)],
    ['release', `${plan.recipe} ${plan.release}`],
    [
      'architecture',
      `${plan.packageArchitecture}${plan.execution === 'emulated' ? ', emulated' : ''}`,
    ],
    [
      'packages',
      [plan.variant, ...plan.include, ...plan.exclude.map((name) => `without ${name}`)].join(', '),
    ],
    [
      'mirror',
      `${withoutPasswords(plan.archive.mirror)} (${mirrorOrigins[plan.archive.mirrorFrom]})`,
    ],
    archiveParts(plan),
    [
      'signed by',
      plan.signatures === 'required'
        ? (plan.archive.keyring ?? "the distribution's own keys")
        : 'nobody: signatures are not checked',
    ],
    ['made with', `${plan.strategy} (${plan.strategyReason})`],
    ['then', plan.finishing.join(', ')],
    ...customizationRows(plan.customization),
  ]
  return rows.map(([what, value]) => row(what, value)).join('\n')
}

function row(what: string, value: string): string {
  return `${`${what}:`.padEnd(14)}${value}`
}

const nouns = { directory: 'tree', subvolume: 'tree', tar: 'file', raw: 'disk' } as const

function describeOutput({ output, sourceDateEpoch }: TreePlan): string {
  const again = sourceDateEpoch === undefined ? '' : ', the same each time'
  switch (output.form) {
    case 'directory':
    case 'subvolume':
      return output.form + again
    case 'tar':
      return `tar, ${output.compression}${again}`
    case 'raw':
      return `disk image, ${output.disk.fileSystem}${output.disk.verity ? ' with verity' : ''}${again}`
  }
}

/** Only what was asked for; of passwords, that there is one. */
function customizationRows(wanted: Customization): (readonly [string, string])[] {
  const { rootPassword, users, sshKeys, copies, hooks } = wanted
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['hostname', wanted.hostname],
    ['locale', wanted.locale],
    ['time zone', wanted.timezone],
    ['keymap', wanted.keymap],
    ['root', rootPassword.kind === 'locked' ? undefined : `password: ${rootPassword.kind}`],
    [
      'users',
      users
        .map(({ name, groups }) => (groups.length === 0 ? name : `${name} (${groups.join(', ')})`))
        .join(', '),
    ],
    ['ssh keys', sshKeys.map(({ user, file }) => `${file} for ${user}`).join(', ')],
    ['autologin', wanted.autologin],
    ['network', wanted.network === 'none' ? undefined : 'host0'],
    ['copied in', copies.map((copy) => `${copy.source} to ${copy.destination}`).join(', ')],
    ['hooks', hooks.map((hook) => (hook.kind === 'file' ? hook.path : hook.name)).join(', ')],
  ]
  return rows.flatMap(([what, value]) =>
    value === undefined || value === '' ? [] : [[what, value]],
  )
}

const mirrorOrigins = {
  option: 'as asked for',
  host: "the host's own",
  recipe: "the recipe's",
} as const

function archiveParts({ archive, release }: TreePlan): readonly [string, string] {
  if (archive.family === 'apt')
    return ['suites', [release, ...archive.extraSuites.map(({ suite }) => suite)].join(', ')]
  const names = archive.repositories.map((one) => ('id' in one ? one.id : one.name))
  return ['repositories', names.join(', ')]
}
