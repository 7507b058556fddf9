/**
 * Builds a Debian source package in throw-away containers: dependencies are installed into a layer
 * with a network, then the package is built above it without one. The tree below never changes, and
 * whatever ends this process, the next run finds and removes what it left.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { silent, type LogSink } from '../../log.ts'
import {
  claimHiddenTree,
  removeStaleHiddenTrees,
  type HiddenTree,
} from '../../images/hidden-tree.ts'
import { lockImage } from '../../images/lock.ts'
import { ephemeralMachineName } from '../../images/names.ts'
import { runContainer, type ContainerOutcome } from '../../runtime/client.ts'
import type { Settings } from '../../settings/settings.ts'
import { describeDebianTree } from '../base-tree.ts'
import { BuildLog } from '../build-log.ts'
import { BuildRecorder, seconds, type BuildRecord } from '../record.ts'
import { prepareOutputDirectory, publishFiles, type Owner, type ResultFile } from '../results.ts'
import { collectChanges } from './changes.ts'
import type { SignaturePolicy } from './dsc-signature.ts'
import { installedPackages } from './installed-packages.ts'
import { buildUserName } from './places.ts'
import {
  planDebianBuild,
  type BuildLayers,
  type BuildOptions,
  type BuildPhase,
  type BuildStep,
} from './plan.ts'
import { prepareRoot } from './prepare-root.ts'
import type { SourceRequest } from './source-argument.ts'
import { stageSource, type StagedSource } from './stage-source.ts'

export interface DebianBuild {
  /** Absolute path of a tree of the Debian family. */
  readonly tree: string
  readonly source: SourceRequest
  /** Absolute; made when missing. */
  readonly outputDirectory: string
  readonly stateDirectory: string
  readonly options: BuildOptions
  readonly signature: SignaturePolicy
  /** For all containers of the build together. */
  readonly timeoutMs?: number | undefined
  /** Who results belong to; default: the user of this process. */
  readonly owner?: Owner | undefined
  /** Leaves the throw-away directories behind, under a name that is not cleaned up. */
  readonly keep?: boolean | undefined
  /** Opens a shell on the caller's terminal where a step failed. */
  readonly shellOnFailure?: boolean | undefined
  /** The caller's proxy variables, for the steps with a network. */
  readonly proxy?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface DebianBuildResult {
  readonly name: string
  readonly version: string
  /** Absolute paths in the output directory, the `.changes` last. */
  readonly files: readonly string[]
  readonly logPath: string
  readonly recordPath: string
  readonly record: BuildRecord
}

const logName = 'build.log'
const recordName = 'build.json'

/**
 * Builds the package and puts its files, `build.log` and `build.json` into the output directory. The
 * latter two are written when the build fails too.
 *
 * @throws NspawnError with a `SOURCE_…`, `DEPENDENCY_…` or `BUILD_…` code, `TIMEOUT`, `INVALID_TREE`,
 *   `INVALID_OUTPUT`, `EBUSY` (the tree is being changed), `CANCELED`
 */
export async function buildDebian(build: DebianBuild): Promise<DebianBuildResult> {
  const log = build.log ?? silent
  await using cleanup = new CleanupStack()
  const base = await describeDebianTree(build.tree)
  const lock = lockImage(build.tree, 'shared')
  cleanup.defer(`lock of ${build.tree}`, () => lock.release())
  await prepareOutputDirectory(build.outputDirectory, build.owner)
  const place = await claimBuildDirectory(build, log, cleanup)
  const recorder = new BuildRecorder('debian', log)
  recorder.facts = { base, options: build.options }
  const buildLog = new BuildLog(join(place.directory, logName))
  cleanup.defer('build log', () => buildLog[Symbol.dispose]())
  const run = new BuildRun(build, place, recorder, buildLog, log)
  try {
    await run.whole()
  } catch (error) {
    if (build.signal?.aborted === true) throw error
    buildLog.banner(`failed: ${error instanceof Error ? error.message : String(error)}`)
    await publish(build, place, recorder.finish(error), [])
    throw withLog(error, join(build.outputDirectory, logName))
  }
  const record = recorder.finish()
  const files = await publish(build, place, record, recorder.outputs)
  return {
    name: run.staged.control.name,
    version: run.staged.control.version,
    files,
    logPath: join(build.outputDirectory, logName),
    recordPath: join(build.outputDirectory, recordName),
    record,
  }
}

/** Removes what builds that were killed left below the state directory; returns the paths. */
export function removeStaleBuilds(
  stateDirectory: string,
  log: LogSink = silent,
): readonly string[] {
  return removeStaleHiddenTrees(join(stateDirectory, 'builds'), log)
}

interface BuildPlace {
  readonly directory: string
  readonly layers: BuildLayers
  /** Collected and checked results wait here. */
  readonly results: string
}

async function claimBuildDirectory(
  build: DebianBuild,
  log: LogSink,
  cleanup: CleanupStack,
): Promise<BuildPlace> {
  const parent = join(build.stateDirectory, 'builds')
  // Sources may be private, and set-uid programs of a build are nobody's business on the host.
  await mkdir(build.stateDirectory, { recursive: true, mode: 0o755 })
  await mkdir(parent, { recursive: true, mode: 0o700 })
  removeStaleHiddenTrees(parent, log)
  const hidden = claimHiddenTree(parent, 'build')
  cleanup.defer('build directory', () =>
    build.keep === true ? keepDirectory(hidden, parent, log) : hidden.remove(),
  )
  const directory = hidden.path
  const layers = {
    tree: build.tree,
    sources: join(directory, 'sources'),
    dependencies: join(directory, 'dependencies'),
    upper: join(directory, 'upper'),
    work: join(directory, 'work'),
  }
  const results = join(directory, 'results')
  await mkdir(directory, { mode: 0o755 })
  for (const path of [layers.sources, layers.dependencies, layers.upper, layers.work, results]) {
    await mkdir(path)
    // The root of the container is the topmost layer's own directory: its mode must not depend on umask.
    await chmod(path, 0o755)
  }
  return { directory, layers, results }
}

async function keepDirectory(hidden: HiddenTree, parent: string, log: LogSink): Promise<void> {
  if (!existsSync(hidden.path)) return hidden.release()
  const kept = join(parent, `kept-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`)
  await rename(hidden.path, kept)
  hidden.release()
  log({ kind: 'notice', text: `kept: ${kept}; what the build wrote is in ${join(kept, 'upper')}` })
}

/** One build under way. */
class BuildRun {
  private source: StagedSource | undefined
  private readonly deadline: number
  private readonly build: DebianBuild
  private readonly place: BuildPlace
  private readonly recorder: BuildRecorder
  private readonly buildLog: BuildLog
  private readonly log: LogSink

  constructor(
    build: DebianBuild,
    place: BuildPlace,
    recorder: BuildRecorder,
    buildLog: BuildLog,
    log: LogSink,
  ) {
    this.build = build
    this.place = place
    this.recorder = recorder
    this.buildLog = buildLog
    this.log = log
    this.deadline = performance.now() + (build.timeoutMs ?? Infinity)
  }

  get staged(): StagedSource {
    if (this.source === undefined) throw new Error('the source has not been staged')
    return this.source
  }

  async whole(): Promise<void> {
    const { recorder, place } = this
    await recorder.phase('fetch', () => this.fetch())
    const steps = this.plan()
    await recorder.phase('dependencies', async () => {
      await prepareRoot(place.layers.tree, place.layers.dependencies)
      await this.steps(steps, 'dependencies')
      const packages = await installedPackages([place.layers.dependencies, place.layers.tree])
      recorder.facts = { ...recorder.facts, packages }
    })
    await recorder.phase('unpack', () => this.steps(steps, 'unpack'))
    await recorder.phase('build', () => this.steps(steps, 'build'))
    await recorder.phase('collect', async () => {
      this.buildLog.banner('collect results')
      recorder.outputs = await collectChanges(
        place.layers.upper,
        this.staged.control,
        place.results,
      )
      for (const { name, sizeBytes, sha256 } of recorder.outputs)
        this.buildLog.line(`${sha256} ${sizeBytes} ${name}`)
    })
  }

  private async fetch(): Promise<void> {
    const { build, place } = this
    this.buildLog.banner('fetch the source')
    const log: LogSink = (event) => {
      if (event.kind === 'step' || event.kind === 'notice') this.buildLog.line(event.text)
      this.log(event)
    }
    const { tree, source, signature: policy, signal } = { ...build }
    this.source = await stageSource({
      source,
      tree,
      layer: place.layers.sources,
      policy,
      signal,
      log,
    })
    const { control, origin, form, files, treeSha256, signature } = this.source
    const { name, version, format } = control
    this.recorder.facts = {
      ...this.recorder.facts,
      source: { name, version, format, origin, form: form.kind, signature, files, treeSha256 },
    }
    if (form.kind === 'unpacked' && build.options.scope.source) {
      throw new NspawnError(
        `there is no upstream tarball of ${name}, so that no source package can be made`,
        {
          code: 'SOURCE_INVALID',
          operation: 'read source package',
          subject: origin,
          hint: 'put its .orig.tar.* beside the directory, or build without the source package',
        },
      )
    }
  }

  private plan(): readonly BuildStep[] {
    return planDebianBuild({
      source: this.staged,
      options: this.build.options,
      layers: this.place.layers,
      machine: ephemeralMachineName('build'),
      user: buildUserName,
      proxy: this.build.proxy ?? {},
      hostsFile: existsSync('/etc/hosts'),
    })
  }

  private async steps(steps: readonly BuildStep[], phase: BuildPhase): Promise<void> {
    for (const step of steps) if (step.phase === phase) await this.step(step)
  }

  private async step(step: BuildStep): Promise<void> {
    const { settings } = step
    this.buildLog.banner(step.title, settings.command)
    this.log({ kind: 'step', text: step.title })
    const began = performance.now()
    let outcome: ContainerOutcome | undefined
    try {
      outcome = await this.container(settings)
    } finally {
      const ended = outcome !== undefined && !outcome.timedOut ? { status: outcome.status } : {}
      this.recorder.steps.push({
        id: step.id,
        title: step.title,
        command: settings.command,
        user: settings.user ?? 'root',
        network: settings.privateNetwork ? 'loopback' : 'host',
        ...ended,
        seconds: seconds(performance.now() - began),
      })
    }
    if (outcome.timedOut) throw this.failure(step, 'TIMEOUT', 'the time limit ran out', undefined)
    this.buildLog.note(`exit status ${outcome.status} after ${seconds(outcome.durationMs)} s`)
    if (outcome.status === 0) return
    const failure = this.failure(step, step.failure, undefined, outcome.status)
    if (this.build.shellOnFailure === true) await this.shell(step)
    throw failure
  }

  private async container(settings: Settings): Promise<ContainerOutcome> {
    const leftMs = this.deadline - performance.now()
    await makeWorkDirectory(settings)
    return runContainer({
      settings,
      stdio: 'lines',
      onLine: (line, stream) => {
        this.buildLog.line(line)
        this.log({ kind: 'output', stream, line })
      },
      signal: this.build.signal,
      timeoutMs: leftMs === Infinity ? undefined : Math.max(1, leftMs),
    })
  }

  private failure(
    step: BuildStep,
    code: string,
    why: string | undefined,
    status: number | undefined,
  ): NspawnError {
    const { name, version } = this.staged.control
    const lines = this.buildLog.lastLines(12)
    const tail = lines.length === 0 ? '' : `\n  | ${lines.join('\n  | ')}\n`
    return new NspawnError(
      `${name} ${version}: cannot ${step.title}${why === undefined ? '' : `: ${why}`}${tail}`,
      {
        code,
        operation: step.settings.command[0],
        status,
        hint: code === 'TIMEOUT' ? 'give it more with --timeout' : step.hint,
      },
    )
  }

  /** The same container as the step's, with a shell on the caller's terminal instead of its program. */
  private async shell(step: BuildStep): Promise<void> {
    const { root, environment } = step.settings
    if (root.kind !== 'layers') return
    this.log({
      kind: 'notice',
      text: `a shell where "${step.settings.command.join(' ')}" failed; leave it with "exit"`,
    })
    const term = { name: 'TERM', value: process.env['TERM'] ?? 'dumb' }
    const settings: Settings = {
      ...step.settings,
      command: ['/bin/bash'],
      console: undefined,
      environment: [...environment.filter(({ name }) => name !== 'TERM'), term],
      root: { ...root, workDirectory: `${root.workDirectory}-shell` },
    }
    await makeWorkDirectory(settings)
    await runContainer({ settings, stdio: 'inherit', signal: this.build.signal })
  }
}

async function makeWorkDirectory({ root }: Settings): Promise<void> {
  if (root.kind === 'layers') await mkdir(root.workDirectory)
}

/** Puts results, log and record into the output directory; returns the paths of the results. */
async function publish(
  build: DebianBuild,
  place: BuildPlace,
  record: BuildRecord,
  outputs: readonly ResultFile[],
): Promise<readonly string[]> {
  const names = outputs.map(({ name }) => name)
  if (names.length > 0) await publishFiles(place.results, build.outputDirectory, names, build.owner)
  await writeFile(join(place.directory, recordName), `${JSON.stringify(record, undefined, 2)}\n`)
  await publishFiles(place.directory, build.outputDirectory, [logName, recordName], build.owner)
  return names.map((name) => join(build.outputDirectory, name))
}

function withLog(error: unknown, path: string): unknown {
  if (!(error instanceof NspawnError)) return error
  const { code, operation, subject, status, hint, cause } = error
  return new NspawnError(error.message, {
    code,
    operation,
    subject,
    status,
    hint,
    cause,
    log: path,
  })
}
