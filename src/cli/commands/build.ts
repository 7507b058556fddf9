/** `build NAME SOURCE` */
import { availableParallelism } from 'node:os'
import { isAbsolute, resolve } from 'node:path'
import { buildDebian } from '../../build/debian/build.ts'
import type { BuildScope } from '../../build/debian/plan.ts'
import type { BuildResult } from '../../build/driver.ts'
import { readSourceArgument } from '../../build/debian/source-argument.ts'
import { NspawnError, usageError } from '../../errors.ts'
import { requireImage } from '../../images/discover.ts'
import type { VerbModule } from '../context.ts'
import { seconds } from '../reporters/plain.ts'

interface BuildVerbOptions {
  readonly output: string
  readonly jobs?: string
  readonly profiles?: string[]
  readonly buildOptions?: string[]
  readonly archOnly?: boolean
  readonly indepOnly?: boolean
  readonly sourceToo?: boolean
  readonly network?: boolean
  readonly setenv?: string[]
  readonly timeout?: string
  readonly keyring?: string[]
  readonly requireSignature?: boolean
  readonly keep?: boolean
  readonly fresh?: boolean
  readonly shellOnFailure?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument(
      '<name>',
      'the tree to build in: an image, or a path with a slash; it is never changed',
    )
    .argument(
      '<source>',
      'a .dsc by path or URL, a directory with debian/, or NAME[=VERSION] of the archive',
    )
    .option('-o, --output <dir>', 'where results go', '.')
    .option('-j, --jobs <n>', 'how much the build may do at once; default one for each processor')
    .option('-P, --profiles <names>', 'build profiles, divided by commas', list)
    .option(
      '--build-options <words>',
      'DEB_BUILD_OPTIONS: nocheck, nodoc, …; divided by commas or blanks',
      list,
    )
    .option('--arch-only', 'only packages of this architecture')
    .option('--indep-only', 'only packages for all architectures')
    .option('--source-too', 'the source package as well')
    .option(
      '--network',
      'leave the network to the build; otherwise it has a loopback interface only',
    )
    .option('-E, --setenv <NAME=VALUE>', 'a variable for the build; may be repeated', collect)
    .option('--timeout <span>', 'end the build after so long: 90, 30min, 2h')
    .option('--keyring <file>', 'keys that must have signed the source; may be repeated', collect)
    .option('--require-signature', 'no build without a good signature of a known developer')
    .option('--fresh', 'install toolchain and dependencies anew, for this build alone')
    .option('--keep', 'leave the throw-away directories behind')
    .option('--shell-on-failure', 'open a shell where the build failed')
    .action((name: string, source: string, options: BuildVerbOptions) =>
      run(
        async (context) => {
          if (process.geteuid?.() !== 0) {
            throw new NspawnError('builds need root for now', {
              code: 'NOT_ROOT',
              hint: 'try again with sudo',
            })
          }
          if (context.style === 'json' && options.shellOnFailure === true) {
            throw usageError(
              'give --json or --shell-on-failure, not both',
              'the shell would write between the events',
            )
          }
          const result = await buildDebian({
            tree: treePath(name, context.machinesDirectory),
            source: readSourceArgument(source, process.cwd()),
            outputDirectory: resolve(options.output),
            stateDirectory: context.stateDirectory,
            options: {
              scope: scope(options),
              jobs: options.jobs === undefined ? availableParallelism() : jobs(options.jobs),
              buildOptions: options.buildOptions ?? [],
              profiles: options.profiles ?? [],
              network: options.network === true ? 'host' : 'none',
              environment: variables(options.setenv ?? []),
            },
            signature: {
              keyrings: (options.keyring ?? []).map((path) => resolve(path)),
              required: options.requireSignature === true,
            },
            timeoutMs: options.timeout === undefined ? undefined : spanMs(options.timeout),
            owner: invokingUser(),
            keep: options.keep,
            fresh: options.fresh,
            shellOnFailure: options.shellOnFailure,
            proxy: proxyVariables(),
            signal: context.signal,
            log: context.log,
          })
          context.result(result, describe(result))
          return 0
        },
        { output: 'shown' },
      ),
    )
}

function describe(result: BuildResult): string {
  const { name, version = '', files, logPath, recordPath, record } = result
  return [
    `built ${`${name} ${version}`.trim()} in ${seconds(record.seconds * 1000)}`,
    ...[...files, logPath, recordPath].map((path) => `  ${path}`),
  ].join('\n')
}

function treePath(name: string, machinesDirectory: string): string {
  if (name.includes('/')) return isAbsolute(name) ? name : resolve(name)
  const image = requireImage(name, machinesDirectory)
  if (image.type === 'directory' || image.type === 'subvolume') return image.path
  throw usageError(
    `${name} is a disk image; builds need a tree`,
    'make one with "tsnspawn-build create debian"',
  )
}

function scope({ archOnly, indepOnly, sourceToo }: BuildVerbOptions): BuildScope {
  if (archOnly === true && indepOnly === true)
    throw usageError('give --arch-only or --indep-only, not both')
  return { any: indepOnly !== true, all: archOnly !== true, source: sourceToo === true }
}

function jobs(text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < 1 || number > 4096)
    throw usageError(`not a number of jobs: ${text}`)
  return number
}

function variables(assignments: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    assignments.map((assignment) => {
      const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(assignment) ?? []
      if (name === undefined || value === undefined)
        throw usageError(`not a variable: ${assignment}`, 'write NAME=VALUE')
      return [name, value]
    }),
  )
}

const units: Readonly<Record<string, number>> = {
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** `90` (seconds), `30min`, `2h`, `1h 30min` in milliseconds. */
export function spanMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)\s*(s|min|h|d)?(?=\s|\d|$)\s*/g)]
  const total = parts.reduce(
    (sum, [, number, unit = 's']) => sum + Number(number) * (units[unit] ?? 0),
    0,
  )
  if (parts.map(([part]) => part).join('') !== text || !(total > 0)) {
    throw usageError(`not a time span: ${text}`, 'write seconds, or 30min, 2h, 1h 30min')
  }
  return total
}

/** Who called sudo: results shall belong to them. */
function invokingUser(): { uid: number; gid: number } | undefined {
  const uid = Number(process.env['SUDO_UID'] ?? NaN)
  const gid = Number(process.env['SUDO_GID'] ?? NaN)
  return Number.isSafeInteger(uid) && Number.isSafeInteger(gid) ? { uid, gid } : undefined
}

function proxyVariables(): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy']
  const entries = [...names, ...names.map((name) => name.toUpperCase())].map(
    (name) => [name, process.env[name]] as const,
  )
  return Object.fromEntries(
    entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined),
  )
}

function list(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(/[,\s]+/).filter((word) => word !== '')]
}

function collect(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text]
}
