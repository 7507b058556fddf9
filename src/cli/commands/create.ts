/** `create RECIPE [NAME]` */
import { resolve } from 'node:path'
import { createTree, planCreate } from '../../bootstrap/create.ts'
import { parseRootPassword } from '../../bootstrap/finishing/root-password.ts'
import { planHash, type TreePlan, type TreeRequest } from '../../bootstrap/plan.ts'
import { usageError } from '../../errors.ts'
import { withoutPasswords } from '../../url-secrets.ts'
import type { VerbModule } from '../context.ts'
import { seconds } from '../reporters/plain.ts'

interface CreateOptions {
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
  readonly rootPassword?: string
  readonly dryRun?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<recipe>', 'see the verb recipes')
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
      'how to make it: embedded, mmdebstrap or debootstrap; default the first that works here',
    )
    .option('-D, --directory <dir>', 'make the tree right there, not in the machines directory')
    .option('-f, --force', 'replace what is there, in one step once the new tree is ready')
    .option('--keep-failed', 'keep a tree that could not be made, and say where it is')
    .option(
      '--private-users',
      "run scripts of packages as users of a container, not as the host's root",
    )
    .option('--root-password <value>', 'locked (default), empty, or a hash as mkpasswd makes it')
    .option('-n, --dry-run', 'show the plan and change nothing')
    .action((recipe: string, name: string | undefined, options: CreateOptions) =>
      run(async (context) => {
        const plan = await planCreate(request(recipe, name, options), context.machinesDirectory)
        if (options.dryRun === true) {
          const shown = { ...plan, planHash: planHash(plan) }
          context.result(JSON.parse(withoutPasswords(JSON.stringify(shown))), describePlan(plan))
          return 0
        }
        context.log({
          kind: 'notice',
          text: `${plan.destination}: ${plan.strategy} (${plan.strategyReason}), from ${withoutPasswords(plan.archive.mirror)}`,
        })
        const tree = await createTree(plan, context)
        context.result(
          tree,
          `${tree.name} is ready: ${tree.packages} packages in ${seconds(tree.durationMs)}\n  tree: ${tree.path}\n  log:  ${tree.log}`,
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
    rootPassword:
      options.rootPassword === undefined ? undefined : parseRootPassword(options.rootPassword),
  }
}

function repeated(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text]
}

function list(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(',').filter((word) => word !== '')]
}

function describePlan(plan: TreePlan): string {
  const rows: readonly (readonly [string, string])[] = [
    ['tree', plan.destination + (plan.existing === 'replace' ? ' (replacing what is there)' : '')],
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
  ]
  return rows.map(([what, value]) => `${`${what}:`.padEnd(14)}${value}`).join('\n')
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
