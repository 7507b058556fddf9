/**
 * Builds a Debian source package in throw-away containers: dependencies are installed into a layer
 * with a network, then the package is built above it without one. The tree below never changes, and
 * whatever ends this process, the next run finds and removes what it left.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CleanupStack } from '../../cleanup.ts'
import { describeError, NspawnError, throwIfCanceled } from '../../errors.ts'
import {
  claimHiddenTree,
  removeStaleHiddenTrees,
  type HiddenTree,
} from '../../images/hidden-tree.ts'
import { lockImage } from '../../images/lock.ts'
import { ephemeralMachineName } from '../../images/names.ts'
import { silent, type LogSink } from '../../log.ts'
import { describeDebianTree, type BaseTree } from '../base-tree.ts'
import { BuildLog } from '../build-log.ts'
import { LayerStore, removeStaleLayers, type Writable } from '../layers.ts'
import { BuildRecorder, type BuildRecord } from '../record.ts'
import { prepareOutputDirectory, publishFiles, type Owner, type ResultFile } from '../results.ts'
import { runStep, type StepContext } from '../step-runner.ts'
import { provideLayers, type BuildLayerPair } from './build-layers.ts'
import { collectChanges } from './changes.ts'
import type { SignaturePolicy } from './dsc-signature.ts'
import { IndexCache } from './index-cache.ts'
import { installedPackages } from './installed-packages.ts'
import { currentIndexes, type IndexIdentity } from './layer-keys.ts'
import { buildUserName } from './places.ts'
import { planDebianBuild, type BuildOptions, type BuildPhase } from './plan.ts'
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
  /** Installs toolchain and dependencies anew, for this build alone. */
  readonly fresh?: boolean | undefined
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
  for (const made of await prepareOutputDirectory(build.outputDirectory, build.owner))
    cleanup.defer(`directory ${made}`, () => removeIfEmpty(made))
  const place = await claimBuildDirectory(build, log, cleanup)
  const recorder = new BuildRecorder('debian', log)
  recorder.facts = { base, options: build.options }
  const buildLog = new BuildLog(join(place.directory, logName))
  cleanup.defer('build log', () => buildLog[Symbol.dispose]())
  const run = new BuildRun(build, base, place, recorder, buildLog, cleanup)
  try {
    await run.whole()
  } catch (error) {
    // Programs that a terminal's Ctrl-C ended too have failures of their own to tell.
    throwIfCanceled(build.signal, 'the build')
    buildLog.banner(`failed: ${error instanceof Error ? error.message : String(error)}`)
    throw await withLog(error, build, place, recorder.finish(error), log)
  }
  const record = recorder.finish()
  const files = await publish(build, place, record, recorder.outputs, build.signal)
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
  return [
    ...removeStaleHiddenTrees(join(stateDirectory, 'builds'), log),
    ...removeStaleLayers(join(stateDirectory, 'layers'), log),
  ]
}

interface BuildPlace {
  readonly directory: string
  readonly sources: string
  readonly build: Writable
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
  const place: BuildPlace = {
    directory,
    sources: join(directory, 'sources'),
    build: { upper: join(directory, 'upper'), work: join(directory, 'work') },
    results: join(directory, 'results'),
  }
  await mkdir(directory, { mode: 0o755 })
  for (const path of [place.sources, place.build.upper, place.build.work, place.results]) {
    await mkdir(path)
    // The root of the container is the topmost layer's own directory: its mode must not depend on umask.
    await chmod(path, 0o755)
  }
  return place
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
  private readonly build: DebianBuild
  private readonly base: BaseTree
  private readonly place: BuildPlace
  private readonly recorder: BuildRecorder
  private readonly buildLog: BuildLog
  private readonly cleanup: CleanupStack
  private readonly log: LogSink
  private readonly machine = ephemeralMachineName('build')
  private readonly deadlineMs: number

  constructor(
    build: DebianBuild,
    base: BaseTree,
    place: BuildPlace,
    recorder: BuildRecorder,
    buildLog: BuildLog,
    cleanup: CleanupStack,
  ) {
    this.build = build
    this.base = base
    this.place = place
    this.recorder = recorder
    this.buildLog = buildLog
    this.cleanup = cleanup
    this.log = build.log ?? silent
    this.deadlineMs = performance.now() + (build.timeoutMs ?? Infinity)
  }

  get staged(): StagedSource {
    if (this.source === undefined) throw new Error('the source has not been staged')
    return this.source
  }

  async whole(): Promise<void> {
    const { recorder, place, build } = this
    const asking = this.askMirrors()
    try {
      // To its end, whatever the mirrors say: nobody may go on writing where the clean-up removes.
      await recorder.phase('fetch', () => this.fetch())
    } catch (error) {
      asking.stop()
      throw error
    }
    const indexes = await asking.answer
    const layers = await recorder.phase('dependencies', () => this.layers(indexes))
    await recorder.phase('unpack', () => this.steps('unpack', layers))
    await recorder.phase('build', () => this.steps('build', layers))
    await recorder.phase('collect', async () => {
      this.buildLog.banner('collect results')
      recorder.outputs = await collectChanges(
        place.build.upper,
        this.staged.control,
        place.results,
        build.signal,
      )
      for (const { name, sizeBytes, sha256 } of recorder.outputs)
        this.buildLog.line(`${sha256} ${sizeBytes} ${name}`)
    })
  }

  /** Goes on while the source is fetched. */
  private askMirrors() {
    const { tree, fresh, signal } = this.build
    const stop = new AbortController()
    const signals = signal === undefined ? [stop.signal] : [stop.signal, signal]
    const answer =
      fresh === true ? Promise.resolve(undefined) : currentIndexes(tree, AbortSignal.any(signals))
    answer.catch(() => undefined)
    return { answer, stop: () => stop.abort() }
  }

  private async fetch(): Promise<void> {
    const { build, place } = this
    this.buildLog.banner('fetch the source')
    const log: LogSink = (event) => {
      if (event.kind === 'step' || event.kind === 'notice') this.buildLog.line(event.text)
      this.log(event)
    }
    const { tree, source, signature: policy, signal } = build
    const cache = new IndexCache(join(build.stateDirectory, 'cache/sources'))
    this.source = await stageSource({
      source,
      tree,
      layer: place.sources,
      policy,
      cache,
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

  private async layers(indexes: IndexIdentity | undefined): Promise<BuildLayerPair> {
    const { build, base, recorder, log } = this
    const store = await LayerStore.open(join(build.stateDirectory, 'layers'), this.cleanup, log)
    const { control } = this.staged
    const layers = await provideLayers(
      store,
      { base, control, options: build.options, indexes },
      {
        toolchain: (toolchain, dependencies) =>
          this.steps('toolchain', { toolchain, dependencies }),
        dependencies: (toolchain, dependencies) =>
          this.steps('dependencies', { toolchain, dependencies }),
      },
    )
    for (const { kind, key, origin } of layers.uses) {
      if (origin === 'kept')
        log({ kind: 'step', text: `the ${kind} layer of an earlier build fits` })
      this.buildLog.note(`${kind} layer: ${origin}${key === undefined ? ', not kept' : ` ${key}`}`)
    }
    const packages = await installedPackages([
      layers.dependencies.upper,
      layers.toolchain.upper,
      build.tree,
    ])
    recorder.facts = { ...recorder.facts, packages, layers: layers.uses }
    return layers
  }

  private async steps(
    phase: BuildPhase,
    layers: Pick<BuildLayerPair, 'toolchain' | 'dependencies'>,
  ): Promise<void> {
    const { build, place, recorder, buildLog, log, machine, deadlineMs } = this
    const { name, version } = this.staged.control
    const plan = planDebianBuild({
      source: this.staged,
      options: build.options,
      layers: { ...layers, tree: build.tree, sources: place.sources, build: place.build },
      machine,
      user: buildUserName,
      proxy: build.proxy ?? {},
      hostsFile: existsSync('/etc/hosts'),
    })
    const context: StepContext = {
      subject: `${name} ${version}`,
      recorder,
      buildLog,
      log,
      signal: build.signal,
      deadlineMs,
      shellOnFailure: build.shellOnFailure === true,
    }
    for (const step of plan) if (step.phase === phase) await runStep(step, context)
  }
}

/** Puts results, log and record into the output directory; returns the paths of the results. */
async function publish(
  build: DebianBuild,
  place: BuildPlace,
  record: BuildRecord,
  outputs: readonly ResultFile[],
  signal?: AbortSignal,
): Promise<readonly string[]> {
  await writeFile(join(place.directory, recordName), `${JSON.stringify(record, undefined, 2)}\n`)
  const names = outputs.map(({ name }) => name)
  const sources = [
    { directory: place.directory, names: [logName, recordName] },
    { directory: place.results, names },
  ]
  await publishFiles(sources, build.outputDirectory, build.owner, signal)
  return names.map((name) => join(build.outputDirectory, name))
}

/** The error with the log's path, once log and record have been put into the output directory. */
async function withLog(
  error: unknown,
  build: DebianBuild,
  place: BuildPlace,
  record: BuildRecord,
  log: LogSink,
): Promise<unknown> {
  try {
    await publish(build, place, record, [])
  } catch (second) {
    // A full disk, for instance: the build's own failure is what has to be told.
    log({ kind: 'warning', text: `cannot write the log: ${describeError(second)}` })
    return error
  }
  if (!(error instanceof NspawnError)) return error
  const { code, operation, subject, status, hint, cause } = error
  const path = join(build.outputDirectory, logName)
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

async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
  }
}
