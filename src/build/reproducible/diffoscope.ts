/**
 * Has diffoscope(1) look at results that differ: the one of the tree's own distribution, in a container without a network, as
 * an ordinary user, for the files are the work of code that nobody vouches for.
 */
import { chmod, copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { lockImage } from '../../images/lock.ts'
import { silent } from '../../log.ts'
import { describeTree } from '../base-tree.ts'
import { BuildLog } from '../build-log.ts'
import { claimBuildPlace } from '../build-place.ts'
import { builderSettings, overlay } from '../containers.ts'
import type { BuildRequest } from '../driver.ts'
import { installerOf } from '../installers.ts'
import type { InstallerId } from '../installers/installer.ts'
import { buildUserName } from '../places.ts'
import { BuildRecorder } from '../record.ts'
import { BuildSession } from '../session.ts'
import type { Step } from '../step-runner.ts'
import { containerFacts, provideToolchain } from '../toolchain-layer.ts'

/** Debian has one without tools for every format that there is, which would bring half a distribution along. */
const packages: Readonly<Record<InstallerId, string>> = {
  apt: 'diffoscope-minimal',
  pacman: 'diffoscope',
  dnf: 'diffoscope',
  dnf5: 'diffoscope',
  zypper: 'diffoscope',
}

/** Longer ones are cut, with a line that says so. */
const reportLimitBytes = 16 * 1024 ** 2

export interface TwoDirectories {
  /** Absolute. */
  readonly first: string
  readonly second: string
  /** Names of files that both have. */
  readonly names: readonly string[]
}

/**
 * Compares.
 *
 * @returns its report
 * @throws NspawnError `INVALID_TREE` without a package manager; `DEPENDENCY_…`, `DIFFOSCOPE`, `CANCELED`
 */
export async function runDiffoscope(
  request: BuildRequest,
  directories: TwoDirectories,
): Promise<string> {
  const { tree, stateDirectory, signal, log = silent } = request
  const installer = installerOf(tree)
  if (installer === undefined) {
    throw new NspawnError('the tree has no package manager that could install diffoscope', {
      code: 'INVALID_TREE',
      operation: 'look at tree',
      subject: tree,
    })
  }
  await using cleanup = new CleanupStack()
  const lock = lockImage(tree, 'shared')
  cleanup.defer(`lock of ${tree}`, () => lock.release())
  const place = await claimBuildPlace(stateDirectory, false, log, cleanup)
  const buildLog = new BuildLog(join(place.directory, 'diffoscope.log'))
  cleanup.defer('log of diffoscope', () => buildLog[Symbol.dispose]())
  const session = new BuildSession({
    ...{ driver: 'command', lock: undefined, place, buildLog, cleanup },
    request: { ...request, lock: undefined, varied: undefined, shellBefore: false },
    base: await describeTree(tree, installer),
    recorder: new BuildRecorder('diffoscope', log),
  })
  const subject = { name: 'the comparison' }
  const tools = await provideToolchain(session, installer, subject, {
    home: '/nonexistent',
    packages: [packages[installer.id]],
    indexes: request.fresh === true ? undefined : await installer.currentIndexes(tree, signal),
  })
  await layOut(place.sources, directories)
  const layers = [tree, tools.upper, place.sources]
  // When a file was copied here says nothing.
  const options = ['--exclude-directory-metadata=yes', '--max-text-report-size']
  const settings = builderSettings(containerFacts(session), {
    root: overlay(layers, await session.scratch('diffoscope'), 'diffoscope', false),
    command: [
      ...['diffoscope', '--no-progress', ...options, String(reportLimitBytes)],
      ...['--text', '-', 'first', 'second'],
    ],
    user: buildUserName,
    directory: '/compared',
    environment: { HOME: '/tmp' },
    options: { network: 'none', environment: {}, limits: request.options.limits },
  })
  const step: Step = {
    ...{ id: 'diffoscope', title: 'look at the differences with diffoscope', settings },
    ...{ failure: 'DIFFOSCOPE', answers: true },
    // They differ.
    accept: [1],
  }
  const lines = await session.read(step, subject)
  return `${lines.join('\n')}\n`
}

async function layOut(layer: string, { first, second, names }: TwoDirectories): Promise<void> {
  for (const [side, from] of Object.entries({ first, second })) {
    for (const name of names) {
      const path = join(layer, 'compared', side, name)
      await mkdir(dirname(path), { recursive: true, mode: 0o755 })
      await copyFile(join(from, name), path)
      await chmod(path, 0o644)
    }
  }
  await chmod(layer, 0o755)
}
