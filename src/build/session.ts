/** One build under way, as its driver sees it: places, log, record, and how steps and layers are run. */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { ephemeralMachineName } from '../images/names.ts'
import { silent, type LogSink } from '../log.ts'
import type { BaseTree } from './base-tree.ts'
import type { BuildLog } from './build-log.ts'
import { layersDirectory, type BuildPlace } from './build-place.ts'
import type { BuildRequest, DriverId, Subject } from './driver.ts'
import type { Installer } from './installers/installer.ts'
import { LayerStore, type Writable } from './layers.ts'
import {
  makeLocalRepository,
  repositoryDirectory,
  type LocalRepository,
} from './local-repository.ts'
import type { BuildLock, GivenLock } from './lock/lock-file.ts'
import { buildUserName } from './places.ts'
import type { BuildRecord, BuildRecorder } from './record.ts'
import type { Rehearsal } from './rehearsal.ts'
import { moveInLayer, otherPath, withOtherPath } from './reproducible/other-path.ts'
import { renameInLayer } from './reproducible/rename-in-layer.ts'
import type { Varied } from './reproducible/variation.ts'
import { runStep, type Step, type StepContext } from './step-runner.ts'

/** A layer that a build wants below it. */
export interface LayerRequest {
  /** What it is for: `toolchain`, `dependencies`. */
  readonly kind: string
  /** Digest of everything that decides its contents; `undefined` where nobody can tell: it is not kept then. */
  readonly key: string | undefined
  /** Of the package database, relative to the root; a kept layer that lost it is not used. */
  readonly database: readonly string[]
  /**
   * Fills the empty layer.
   *
   * @returns the key to keep it under, which differs from `key` when a mirror moved on meanwhile
   */
  fill(layer: Writable): Promise<string | undefined>
}

export interface LayerUse {
  readonly kind: string
  /** Absent when the layer is thrown away after the build. */
  readonly key?: string | undefined
  readonly origin: 'kept' | 'made'
}

export interface BuildLayer extends LayerUse {
  /** Absolute host directory. */
  readonly upper: string
}

export interface SessionParts<Request extends BuildRequest> {
  readonly driver: DriverId
  /** As `Driver.buildPath`. */
  readonly buildPath?: string | undefined
  readonly request: Request
  readonly base: BaseTree
  /** What the build root shall be made from. */
  readonly lock: GivenLock | undefined
  readonly place: BuildPlace
  readonly recorder: BuildRecorder
  readonly buildLog: BuildLog
  readonly cleanup: CleanupStack
  /** Default: a fresh name. */
  readonly machine?: string | undefined
  /** Given where the build is only told. */
  readonly rehearsal?: Rehearsal | undefined
}

export class BuildSession<Request extends BuildRequest = BuildRequest> {
  readonly driver: DriverId
  readonly request: Request
  readonly base: BaseTree
  /** The lock that the build root is made from. */
  readonly given: GivenLock | undefined
  /** The lock that was made of the build root. */
  lock: BuildLock | undefined
  /** While the source is unpacked and built: circumstances are other than usual. */
  varied: Varied | undefined
  readonly place: BuildPlace
  readonly buildLog: BuildLog
  /** Name of the containers on the host, one at a time. */
  readonly machine: string
  readonly rehearsal: Rehearsal | undefined
  private readonly buildPath: string | undefined
  private readonly recorder: BuildRecorder
  private readonly cleanup: CleanupStack
  private readonly deadlineMs: number
  /** Files of `place.directory` that are handed out beside the results. */
  readonly reports: string[] = []
  /** Absolute paths, see `Settings.openedFiles`. */
  readonly openedLists: string[] = []
  private readonly uppers: string[] = []
  private store: Promise<LayerStore> | undefined
  private shellIsDue: boolean
  private ready: Promise<LocalRepository | undefined> | undefined

  constructor(parts: SessionParts<Request>) {
    this.driver = parts.driver
    this.request = parts.request
    this.given = parts.lock
    this.base = parts.base
    this.place = parts.place
    this.buildLog = parts.buildLog
    this.recorder = parts.recorder
    this.cleanup = parts.cleanup
    this.machine = parts.machine ?? ephemeralMachineName('build')
    this.rehearsal = parts.rehearsal
    this.buildPath = parts.buildPath
    this.shellIsDue = parts.request.shellBefore === true
    this.deadlineMs = performance.now() + (parts.request.timeoutMs ?? Infinity)
  }

  get signal(): AbortSignal | undefined {
    return this.request.signal
  }

  /** What goes here is heard by the caller; steps and notices are in `build.log` too. */
  readonly log: LogSink = (event) => {
    if (event.kind === 'step' || event.kind === 'notice') this.buildLog.line(event.text)
    this.emit(event)
  }

  /** Adds to the record. */
  note(
    facts: Partial<
      Pick<
        BuildRecord,
        'source' | 'options' | 'packages' | 'repository' | 'lint' | 'installCheck' | 'unopened'
      >
    >,
  ): void {
    this.recorder.facts = { ...this.recorder.facts, ...facts }
  }

  /**
   * Runs a step in its container.
   *
   * @throws NspawnError as `runStep()`
   */
  async run(step: Step, subject: Subject): Promise<void> {
    if (this.rehearsal?.skips(step) === true) return
    const moved = this.moved(step)
    const shellBefore = this.shellIsDue && this.recorder.current === 'build'
    if (shellBefore) this.shellIsDue = false
    await runStep(this.watched(this.trusted(moved)), { ...this.context(subject), shellBefore })
  }

  /**
   * Runs a step for what it prints.
   *
   * @returns the lines of its standard output
   */
  async read(step: Step, subject: Subject): Promise<readonly string[]> {
    const lines: string[] = []
    this.rehearsal?.ask(step)
    await runStep(this.moved(step), this.context(subject), (line, stream) => {
      if (stream === 'stdout') lines.push(line)
    })
    return lines
  }

  /**
   * Makes a directory to write to that is gone after the build.
   *
   * @param name unique in the build, fit for a file name
   */
  async scratch(name: string): Promise<Writable> {
    const top = join(this.place.scratch, `scratch-${name}`)
    const writable = { upper: join(top, 'upper'), work: join(top, 'work') }
    for (const path of [top, writable.upper, writable.work]) {
      await mkdir(path)
      // The topmost layer's own directory is the root of the container: its mode must not depend on umask.
      await chmod(path, 0o755)
    }
    return writable
  }

  /**
   * The ready packages of the request as a repository, made when it is first asked for.
   *
   * @returns `undefined` where there are none
   * @throws NspawnError as `makeLocalRepository()`
   */
  async repository(installer: Installer): Promise<LocalRepository | undefined> {
    this.ready ??= this.makeRepository(installer)
    return this.ready
  }

  /** Hands a text out beside the results, under a name of `own-names.ts`. */
  async report(name: string, text: string): Promise<void> {
    await writeFile(join(this.place.directory, name), text)
    this.reports.push(name)
  }

  /** Has what comes now run under other circumstances, when the request is for that. */
  async vary(): Promise<void> {
    const { varied, tree } = this.request
    if (varied === undefined) return
    const { sources, build } = this.place
    await renameInLayer([...this.uppers.toReversed(), tree], sources, varied)
    if (varied.has('path')) await this.movePath([sources, build.upper], 'away')
    this.varied = varied
  }

  /** Ends that: what has been built lies where it lies otherwise. */
  async unvary(): Promise<void> {
    const { sources, build } = this.place
    if (this.varied?.has('path') === true) await this.movePath([build.upper, sources], 'back')
    this.varied = undefined
  }

  /**
   * Finds a kept layer, or makes it: once, when several builds want the same at the same time. It stays
   * as it is until the build has ended.
   */
  async layer(request: LayerRequest): Promise<BuildLayer> {
    const { kind, database, fill } = request
    const store = await this.layers()
    const key = this.request.fresh === true ? undefined : request.key
    if (this.rehearsal !== undefined) return this.rehearse(this.rehearsal, { ...request, key })
    const fillAlone = async (layer: Writable) => {
      const made = await fill(layer)
      // dnf and zypper link what they read, and overlay copies it for that.
      await rm(join(layer.upper, repositoryDirectory), { recursive: true, force: true })
      return made
    }
    const about = { kind, tree: this.request.tree }
    const { upper, ...rest } = await store.provide(key, database, fillAlone, this.signal, about)
    const use: LayerUse = { kind, ...rest }
    const { facts } = this.recorder
    this.recorder.facts = { ...facts, layers: [...(facts.layers ?? []), use] }
    const made: BuildLayer = { ...use, upper }
    this.uppers.push(upper)
    if (made.origin === 'kept')
      this.emit({ kind: 'step', text: `the ${kind} layer of an earlier build fits` })
    const named = made.key === undefined ? ', not kept' : ` ${made.key}`
    this.buildLog.note(`${kind} layer: ${made.origin}${named}`)
    return made
  }

  private async movePath(layers: readonly string[], where: 'away' | 'back'): Promise<void> {
    if (this.buildPath === undefined) return
    const other = otherPath(this.buildPath)
    const [from, to] = where === 'away' ? [this.buildPath, other] : [other, this.buildPath]
    for (const layer of layers) await moveInLayer(layer, from, to)
  }

  /** The step as it is where the build has another path. */
  private moved(step: Step): Step {
    if (this.varied?.has('path') !== true || this.buildPath === undefined) return step
    return { ...step, settings: withOtherPath(step.settings, this.buildPath) }
  }

  /** With the secrets of the request, which the build command alone is given. */
  private trusted(step: Step): Step {
    const { credentials = [] } = this.request
    if (credentials.length === 0 || this.recorder.current !== 'build') return step
    const settings = { ...step.settings, credentials, credentialReaders: 'everybody' } as const
    return { ...step, settings }
  }

  /** Has the files written down that it opens, when the build user runs it and somebody wants to know. */
  private watched(step: Step): Step {
    const { settings } = step
    if (this.request.unopened !== true || settings.user !== buildUserName) return step
    const openedFiles = join(this.place.directory, `opened-${this.openedLists.length}`)
    this.openedLists.push(openedFiles)
    return { ...step, settings: { ...settings, openedFiles } }
  }

  /** Finds a kept layer, or lets the steps be told that would make it. */
  private async rehearse(
    rehearsal: Rehearsal,
    { kind, key, fill }: LayerRequest,
  ): Promise<BuildLayer> {
    const kept = key === undefined ? undefined : await (await this.layers()).find(key)
    const origin = kept === undefined ? 'made' : 'kept'
    rehearsal.layers.push({ kind, key, origin })
    if (kept !== undefined) return { kind, key, origin, upper: kept }
    const layer = await this.scratch(`layer-${rehearsal.layers.length}`)
    rehearsal.unmadeLayer(layer.upper)
    await fill(layer)
    return { kind, key, origin, upper: layer.upper }
  }

  private readonly emit: LogSink = (event) => (this.request.log ?? silent)(event)

  private async makeRepository(installer: Installer): Promise<LocalRepository | undefined> {
    const { packages, tree } = this.request
    if (packages === undefined) return undefined
    const layer = join(this.place.directory, 'ready-packages')
    const made = await makeLocalRepository(installer, packages, { layer, tree }, this.signal)
    if (made === undefined) return undefined
    this.note({
      repository: made.packages.map(({ path, sha256, facts: { name, version, architecture } }) => {
        return { name, version, architecture, file: basename(path), sha256 }
      }),
    })
    return made
  }

  private async layers(): Promise<LayerStore> {
    const directory = layersDirectory(this.request.stateDirectory)
    this.store ??= LayerStore.open(directory, this.cleanup, this.emit)
    return this.store
  }

  private context({ name, version }: Subject): StepContext {
    return {
      subject: version === undefined ? name : `${name} ${version}`,
      recorder: this.recorder,
      buildLog: this.buildLog,
      log: this.emit,
      signal: this.signal,
      deadlineMs: this.deadlineMs,
      silenceMs: this.request.options.limits?.silenceMs,
      diskIsLimited: this.request.options.limits?.diskBytes !== undefined,
      shellBefore: false,
      shellOnFailure: this.request.shellOnFailure === true,
    }
  }
}
