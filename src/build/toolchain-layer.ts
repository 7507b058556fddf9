/**
 * The layer that all builds above one tree share: the tree brought up to date, with the packages that
 * every build of the family wants, the build user, and names for loopback.
 */
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Settings } from '../settings/settings.ts'
import type { BaseTree } from './base-tree.ts'
import { builderSettings, installerSettings, overlay, type ContainerFacts } from './containers.ts'
import { digestFiles } from './digest-files.ts'
import type { BuildRequest, Subject } from './driver.ts'
import { fillLayer } from './fill-layer.ts'
import type { Ask, IndexIdentity, Installer, InstallerCommand } from './installers/installer.ts'
import { layerKey, type Writable } from './layers.ts'
import { buildHostName } from './places.ts'
import { prepareRoot } from './prepare-root.ts'
import { variation } from './reproducible/variation.ts'
import type { BuildLayer, BuildSession } from './session.ts'
import type { Step } from './step-runner.ts'

export interface ToolchainWishes {
  /** Of the build user; not made. */
  readonly home: string
  /** Names in the manager's own notation. */
  readonly packages: readonly string[]
  /** What the mirrors have now; `undefined` where nobody can tell: then the layer is not kept. */
  readonly indexes: IndexIdentity | undefined
}

/** Finds or makes the toolchain's layer. */
export async function provideToolchain<Request extends BuildRequest>(
  session: BuildSession<Request>,
  installer: Installer,
  subject: Subject,
  { home, packages, indexes }: ToolchainWishes,
): Promise<BuildLayer> {
  const { base, request } = session
  const key = async (identity: IndexIdentity | undefined) =>
    identity === undefined ? undefined : toolchainKey(base, installer, { home, packages }, identity)
  return session.layer({
    kind: 'toolchain',
    key: await key(indexes),
    database: installer.database,
    fill: async (layer) => {
      await prepareRoot(base.path, layer.upper, { home, files: installer.rootFiles })
      const facts = containerFacts(session)
      await fillLayer(session, installer, subject, layer, (lent, mark) =>
        toolchainSteps(installer, packages, facts, [...lent, request.tree], layer, mark),
      )
      if (session.rehearsal !== undefined) return undefined
      // The mirror may have moved on since it was asked: what was taken counts.
      return indexes === undefined ? undefined : key(await installer.layerIndexes(layer.upper))
    },
  })
}

/**
 * The steps that fill a toolchain's layer. Pure.
 *
 * @param below absolute host directories, the lowest one first
 * @param mark ends the ids of the steps
 */
export function toolchainSteps(
  installer: Installer,
  packages: readonly string[],
  facts: ContainerFacts,
  below: readonly string[],
  layer: Writable,
  mark = '',
): readonly Step[] {
  const refresh = installer.refresh()
  const commands = packages.length === 0 ? refresh : [...refresh, installer.install(packages)]
  return commands.map((command, index) => {
    const id = `${command.id}${mark}`
    const root = overlay(below, layer, id, index === commands.length - 1)
    return installerStep({ ...command, id }, facts, root)
  })
}

/** A call of the package manager, as a step of a build. Pure. */
export function installerStep(
  { command, environment = {}, ...rest }: InstallerCommand,
  facts: ContainerFacts,
  root: Settings['root'],
): Step {
  return { ...rest, settings: installerSettings(facts, { root, command, environment }) }
}

/** A way to ask the tree's own programs about what is in `layers` (host directories, the lowest one first); `id` is unique in the build. */
export function askAbove<Request extends BuildRequest>(
  session: BuildSession<Request>,
  subject: Subject,
  layers: readonly string[],
  name = 'look',
): Ask {
  let asked = 0
  return async (command) => {
    const id = asked++ === 0 ? name : `${name}-${asked}`
    const settings = builderSettings(containerFacts(session), {
      root: overlay(layers, await session.scratch(id), id, false),
      command,
      user: 'root',
      directory: '/',
      environment: { HOME: '/root' },
      options: { network: 'none', environment: {} },
    })
    if (session.rehearsal?.standsOnUnmade(settings) === true) return []
    const title = 'look what is installed'
    const step = { id, title, settings, failure: 'DEPENDENCY_INSTALL', answers: true } as const
    return session.read(step, subject)
  }
}

/** What all containers of a build share. */
export function containerFacts<Request extends BuildRequest>(
  session: BuildSession<Request>,
): ContainerFacts {
  const { machine, request } = session
  return {
    machine,
    hostname: session.varied?.has('hostname') === true ? variation.hostname : buildHostName,
    varied: session.varied,
    proxy: request.proxy ?? {},
    hostsFile: existsSync('/etc/hosts'),
  }
}

/** A layer that is only read: nothing is mounted above its work directory. */
export function readOnlyLayer({ upper }: Pick<BuildLayer, 'upper'>): Writable {
  return { upper, work: '' }
}

async function toolchainKey(
  base: BaseTree,
  installer: Installer,
  { home, packages }: Pick<ToolchainWishes, 'home' | 'packages'>,
  indexes: IndexIdentity,
): Promise<string> {
  const { rootFiles } = installer
  const inputs = [...(await treeIdentity(base)), packages.toSorted(), indexes, rootFiles, home]
  return layerKey([`${installer.id} toolchain`, installer.version, ...inputs])
}

/** What tells a tree, and a layer above it that has account files, from others: a part of layers' keys. */
export async function treeIdentity({ path, identity }: BaseTree): Promise<readonly unknown[]> {
  const { dev, ino } = await stat(path)
  // A layer's copy of an account file hides the tree's.
  const names = ['etc/passwd', 'etc/group', 'etc/shadow', 'etc/gshadow']
  const accounts = await digestFiles(path, names, { directories: 'names' })
  return [path, dev, ino, identity, accounts]
}
