/** Where the programs of a strategy run, and how: apart from the host, and unable to outlive us. */
import { runProgram, programEnvironment } from '../process.ts'
import type { LogEvent, LogSink } from '../log.ts'
import type { CreateContext } from './create-context.ts'
import type { BootstrapHost } from './host.ts'
import { isolated, killIsolated, type Isolation } from '../isolation.ts'
import { namedPlaces, placesBelowTemporary } from './named-places.ts'
import type { TreePlan } from './plan.ts'
import type { StrategyPaths } from './strategy.ts'
import type { ToolLog } from './tool-log.ts'

/** A file system with programs in it: the host's, or that of a tree of tools. */
export interface ToolPlace extends Pick<BootstrapHost, 'findProgram' | 'hasFile'> {
  /**
   * Runs a program to its end.
   *
   * @throws NspawnError with its exit status; `CANCELED`
   */
  run(argv: readonly [string, ...string[]], options?: ToolOptions): Promise<ToolResult>
}

export interface ToolOptions {
  /** Added to what every package manager gets. */
  readonly environment?: Readonly<Record<string, string>>
  /** Exit statuses that are not a failure; default `[0]`. */
  readonly accept?: readonly number[]
  /** `mounted` gives the new tree its own /dev, /proc and their like, for the scripts of its packages. */
  readonly apiFileSystems?: 'mounted' | 'none'
  /** Programs of a foreign architecture will run. */
  readonly emulated?: boolean
  /** Ends it before its time, as if the whole run were given up. */
  readonly signal?: AbortSignal
  /** Reads the output of this run instead of the strategy's reader. */
  readonly readLine?: (line: string) => LogEvent | undefined
}

export interface ToolResult {
  readonly status: number
  readonly stdout: string
}

export interface ToolRun {
  readonly paths: StrategyPaths
  readonly log: ToolLog
  readonly context: CreateContext
  readonly readLine: ((line: string) => LogEvent | undefined) | undefined
}

/** Programs of the host, each in namespaces of its own. */
export function hostTools(
  host: BootstrapHost,
  run: ToolRun,
  { archive }: Pick<TreePlan, 'archive'>,
): ToolPlace {
  const { context } = run
  return {
    findProgram: host.findProgram,
    hasFile: host.hasFile,
    async run(argv, options = {}) {
      const { environment = {}, accept, apiFileSystems = 'none', emulated = false } = options
      run.log.add(`+ ${argv.join(' ')}`)
      const { tree, temporary, templates } = run.paths
      const isolation: Isolation = {
        emulated,
        apiFileSystems: apiFileSystems === 'mounted' ? { tree, templates } : undefined,
        // What they leave there, above all when they are killed, goes away with the stage.
        temporary: {
          directory: temporary,
          seen: placesBelowTemporary(namedPlaces(run.paths, archive)),
          templates,
        },
      }
      const { status, stdout } = await runProgram(
        `cannot run ${argv[0]}`,
        isolated(argv, isolation),
        {
          env: { ...toolEnvironment(run.paths), ...environment },
          accept,
          log: toolOutput({ ...run, readLine: options.readLine ?? run.readLine }),
          signal: eitherSignal(context.signal, options.signal),
          terminate: killIsolated,
        },
      )
      return { status, stdout }
    },
  }
}

/** Aborts with the first of those that are there. */
export function eitherSignal(
  one: AbortSignal | undefined,
  other: AbortSignal | undefined,
): AbortSignal | undefined {
  return one === undefined || other === undefined ? (one ?? other) : AbortSignal.any([one, other])
}

/** Hands each line of output on, keeps it in the log, and tells what the strategy reads from it. */
export function toolOutput({ log, context, readLine }: ToolRun): LogSink {
  return (event) => {
    context.log(event)
    if (event.kind !== 'output') return
    log.add(event.line)
    const told = readLine?.(event.line)
    if (told !== undefined) context.log(told)
  }
}

/** What a package manager may know of its caller; a host's locale or proxy setting ends in no tree. */
function toolEnvironment(paths: StrategyPaths): Record<string, string> {
  const { PATH = '', ...rest } = programEnvironment()
  return {
    ...rest,
    ...packageManagerEnvironment,
    PATH: `${PATH}:${packageManagerEnvironment.PATH}`,
    TMPDIR: paths.temporary,
  }
}

/** What every package manager gets, and the scripts of packages that it runs. */
export const packageManagerEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
  DEBIAN_FRONTEND: 'noninteractive',
  DEBCONF_NONINTERACTIVE_SEEN: 'true',
  DEBIAN_PRIORITY: 'critical',
  // systemd's own tools then leave the running system alone; older ones listen to the second name.
  SYSTEMD_IN_CHROOT: '1',
  SYSTEMD_OFFLINE: '1',
  SYSTEMD_HWDB_UPDATE_BYPASS: '1',
  KERNEL_INSTALL_BYPASS: '1',
} as const
