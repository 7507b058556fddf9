/**
 * Makes an image ready for the cases of a suite, once: packages, files and set-up are layers above the
 * tree, and those that cost time are kept like those of builds.
 */
import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describeTree } from '../build/base-tree.ts'
import { BuildLog } from '../build/build-log.ts'
import { claimBuildPlace, type BuildPlace } from '../build/build-place.ts'
import { homeDirectory } from '../build/command/places.ts'
import { installerSettings, overlay, type ContainerFacts } from '../build/containers.ts'
import type { BuildRequest } from '../build/driver.ts'
import { installerOf } from '../build/installers.ts'
import { layerKey } from '../build/layers.ts'
import { buildUserId } from '../build/places.ts'
import { prepareRoot } from '../build/prepare-root.ts'
import { BuildRecorder } from '../build/record.ts'
import { BuildSession, type BuildLayer } from '../build/session.ts'
import type { Step } from '../build/step-runner.ts'
import { containerFacts, provideToolchain } from '../build/toolchain-layer.ts'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { lockImage } from '../images/lock.ts'
import type { LogSink } from '../log.ts'
import { copyFiles } from './copy-files.ts'
import type { Suite, SuiteImage } from './suite.ts'

export interface PreparedImage {
  readonly label: string
  /** Absolute. */
  readonly tree: string
  /** Absolute host directories, the tree first. */
  readonly layers: readonly string[]
  readonly place: BuildPlace
  readonly facts: Omit<ContainerFacts, 'machine'>
}

export interface PrepareRequest {
  readonly suite: Suite
  readonly image: SuiteImage
  readonly tree: string
  readonly stateDirectory: string
  /** Uses no kept layers and keeps none. */
  readonly fresh: boolean
  readonly proxy: Readonly<Record<string, string>>
  readonly log: LogSink
  readonly signal: AbortSignal | undefined
}

/** The log of packages and set-up, in the place of a prepared image. */
export const setupLogName = 'setup.log'

/**
 * Prepares one image; what it holds is released with `cleanup`.
 *
 * @param onPlace is told the directory that has the log, whatever happens then
 * @throws NspawnError `DEPENDENCY_…`, `TEST_SETUP`, `SUITE_FILES`, `INVALID_TREE`, `EBUSY`, `CANCELED`
 */
export async function prepareImage(
  request: PrepareRequest,
  cleanup: CleanupStack,
  onPlace: (place: BuildPlace) => void,
): Promise<PreparedImage> {
  const { suite, image, tree, log, signal } = request
  const lock = lockImage(tree, 'shared')
  cleanup.defer(`lock of ${tree}`, () => lock.release())
  const place = await claimBuildPlace(request.stateDirectory, false, log, cleanup)
  const buildLog = new BuildLog(join(place.directory, setupLogName))
  cleanup.defer('log of the set-up', () => buildLog[Symbol.dispose]())
  onPlace(place)
  const session = new BuildSession({
    driver: 'command',
    lock: undefined,
    request: setupRequest(request, place),
    base: await describeTree(tree, installerOf(tree)),
    place,
    recorder: new BuildRecorder('tests', log),
    buildLog,
    cleanup,
  })
  const packages = [...suite.packages, ...image.packages]
  const lowest =
    packages.length === 0
      ? await accountsLayer(session)
      : await packagesLayer(session, packages, subjectOf(request))
  await makeHome(place.sources)
  const wishes = { tree, layer: place.sources, user: 'root' }
  const files = await copyFiles(suite.files, wishes, signal)
  const layers = [tree, lowest.upper, place.sources]
  const commands = [...suite.setup, ...image.setup]
  if (commands.length > 0)
    layers.push(await setupLayer(session, layers, commands, [lowest.key, files], request))
  const { machine: _one, ...facts } = containerFacts(session)
  return { label: image.label, tree, layers, place, facts }
}

const subjectOf = ({ suite, image }: PrepareRequest) => ({
  name: `${suite.name} on ${image.label}`,
})

function setupRequest(
  { tree, stateDirectory, fresh, proxy, log, signal }: PrepareRequest,
  place: BuildPlace,
): BuildRequest {
  return {
    tree,
    stateDirectory,
    fresh,
    proxy,
    log,
    signal,
    outputDirectory: place.results,
    options: { jobs: 1, network: 'host', environment: {} },
  }
}

/** Names for loopback and an ordinary user, written in no time. */
function accountsLayer(session: BuildSession): Promise<BuildLayer> {
  return session.layer({
    kind: 'accounts',
    key: undefined,
    database: [],
    fill: async ({ upper }) => {
      await prepareRoot(session.base.path, upper, { home: homeDirectory })
      return undefined
    },
  })
}

async function packagesLayer(
  session: BuildSession,
  packages: readonly string[],
  subject: { readonly name: string },
): Promise<BuildLayer> {
  const { path } = session.base
  const installer = installerOf(path)
  if (installer === undefined) {
    throw new NspawnError('the tree has no package manager that could install packages', {
      code: 'INVALID_TREE',
      operation: 'look at tree',
      subject: path,
      hint: 'test in a tree that has what the cases need, without packages',
    })
  }
  const indexes = await installer.currentIndexes(path, session.signal)
  return provideToolchain(session, installer, subject, { home: homeDirectory, packages, indexes })
}

async function makeHome(layer: string): Promise<void> {
  const home = join(layer, homeDirectory)
  await mkdir(home, { recursive: true })
  await chmod(dirname(home), 0o755)
  await chown(home, buildUserId, buildUserId)
}

/** @returns the upper directory of the layer that the commands have filled */
async function setupLayer(
  session: BuildSession,
  below: readonly string[],
  commands: readonly (readonly string[])[],
  [lowest, files]: readonly [string | undefined, readonly string[]],
  request: PrepareRequest,
): Promise<string> {
  const { base } = session
  const { dev, ino } = await stat(base.path)
  const { suite, image } = request
  const hasPackages = suite.packages.length + image.packages.length > 0
  // Packages that nobody can tell from newer ones are not kept, nor what was made with them.
  const known = !hasPackages || lowest !== undefined
  const inputs = [base.path, dev, ino, base.identity, lowest, files, commands]
  const key = known ? layerKey(['setup of tests', 1, ...inputs]) : undefined
  const { upper } = await session.layer({
    kind: 'setup',
    key,
    database: [],
    fill: async (layer) => {
      for (const [index, command] of commands.entries()) {
        const id = `setup-${index}`
        const root = overlay(below, layer, id, index === commands.length - 1)
        await session.run(setupStep(id, command, containerFacts(session), root), subjectOf(request))
      }
      return key
    },
  })
  return upper
}

function setupStep(
  id: string,
  command: readonly string[],
  facts: ContainerFacts,
  root: ReturnType<typeof overlay>,
): Step {
  const words = command[1] === '-ec' ? command.at(-1)! : command.join(' ')
  const line = words.trim().split('\n')[0]!
  return {
    id,
    title: `run the set-up "${line.length > 60 ? `${line.slice(0, 60)}…` : line}"`,
    settings: installerSettings(facts, { root, command }),
    failure: 'TEST_SETUP',
    hint: 'set-up runs as root, with a network, once for each image',
  }
}

/** A name for files that says what it was made of, and is no other's. */
export function fileName(text: string, taken: ReadonlySet<string>): string {
  const plain = text
    .replaceAll(/[^A-Za-z0-9._+-]+/g, '-')
    .replace(/^[-.]+|-+$/g, '')
    .slice(0, 80)
  const name = plain === '' ? 'case' : plain
  if (!taken.has(name)) return name
  return `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
}
