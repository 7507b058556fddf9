/**
 * The two kinds of containers that builds are made of: root with a network, who installs packages into
 * a layer, and the build user without one, who builds above all layers. Pure, so that it can be shown
 * and tested.
 */
import {
  defaultSettings,
  type CustomMount,
  type ResourceControl,
  type Settings,
} from '../settings/settings.ts'
import type { BuildLimits, BuildOptions } from './driver.ts'
import type { Writable } from './layers.ts'
import { buildUserName } from './places.ts'
import {
  variation,
  variedVariables,
  withOtherUmask,
  type Varied,
} from './reproducible/variation.ts'

/** What the containers of one build share. */
export interface ContainerFacts {
  /** Name of the containers on the host, one at a time. */
  readonly machine: string
  /** Host name in them; their `/etc/hosts` should know it. */
  readonly hostname: string
  /** For what runs code of the source: other circumstances than usual. */
  readonly varied?: Varied | undefined
  /** The caller's proxy variables, for containers with a network. */
  readonly proxy: Readonly<Record<string, string>>
  /** Whether the host has an `/etc/hosts` that may name its mirrors. */
  readonly hostsFile: boolean
}

export interface InstallerContainer {
  readonly root: Settings['root']
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

export interface BuilderContainer {
  readonly root: Settings['root']
  readonly command: readonly string[]
  /** Name or number in the container. */
  readonly user: string
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  readonly options: Pick<BuildOptions, 'network' | 'environment' | 'limits'>
}

/** Nothing of the caller's. */
export const baseEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
  SHELL: '/bin/sh',
  TERM: 'dumb',
}

/**
 * An overlay with a work directory of its own.
 *
 * @param layers absolute host directories, the lowest one first
 * @param id unique among the steps that write to the same directory
 * @param keep makes sure that what was written is on disk at the end
 */
export function overlay(
  layers: readonly string[],
  { upper, work }: Writable,
  id: string,
  keep: boolean,
): Settings['root'] {
  return { kind: 'layers', layers, upper, workDirectory: `${work}/${id}`, keep }
}

/** Root with the host's network: package managers. What they write is not synced until the layer is kept. */
export function installerSettings(
  facts: ContainerFacts,
  { root, command, environment = {} }: InstallerContainer,
): Settings {
  return {
    ...commonSettings(facts, command),
    root,
    environment: pairs({ ...baseEnvironment, ...facts.proxy, HOME: '/root', ...environment }),
    ...hostNetwork(facts),
    suppressSync: true,
  }
}

/** The build user; without a network, unless the build was given one. */
export function builderSettings(
  facts: ContainerFacts,
  { root, command, user, directory, environment, options }: BuilderContainer,
): Settings {
  const online = options.network === 'host'
  const varied = user === buildUserName ? facts.varied : undefined
  const name = varied?.has('user') === true ? variation.user : user
  return {
    ...commonSettings(facts, varied?.has('umask') === true ? withOtherUmask(command) : command),
    root,
    user: name,
    workingDirectory: directory,
    resourceControl: options.limits && resourceControl(options.limits),
    environment: pairs({
      ...baseEnvironment,
      LOGNAME: name,
      USER: name,
      ...environment,
      ...(varied === undefined ? {} : variedVariables(varied)),
      ...(online ? facts.proxy : {}),
      ...options.environment,
    }),
    ...(online ? hostNetwork(facts) : { privateNetwork: true, resolvConf: 'off' }),
  }
}

/** Undefined where nothing is limited: groups of control are not made for nothing. */
function resourceControl({ memoryBytes, tasks, cpus }: BuildLimits): ResourceControl | undefined {
  const limits = [memoryBytes, tasks, cpus]
  return limits.every((one) => one === undefined) ? undefined : { memoryBytes, tasks, cpus }
}

function commonSettings(
  { machine, hostname }: ContainerFacts,
  command: readonly string[],
): Settings {
  const defaults = defaultSettings()
  return {
    ...defaults,
    command,
    startMode: 'stub-init',
    machine,
    hostname,
    register: 'hidden',
    keepUnit: true,
    privateUsers: { mode: 'pick' },
    ownership: 'map',
    timezone: 'off',
    linkJournal: 'no',
    console: 'pipe',
    quiet: true,
    // Builds fill /tmp with more than a tmpfs of a tenth of the memory holds.
    tuning: { ...defaults.tuning, tmpfsOnTmp: false },
  }
}

function hostNetwork({
  hostsFile,
}: ContainerFacts): Pick<Settings, 'privateNetwork' | 'resolvConf' | 'mounts'> {
  const hosts: CustomMount = {
    kind: 'bind',
    source: { kind: 'host', path: '/etc/hosts' },
    destination: '/etc/hosts',
    access: 'read-only',
    recursive: false,
    idMap: 'noidmap',
  }
  return { privateNetwork: false, resolvConf: 'bind-host', mounts: hostsFile ? [hosts] : [] }
}

function pairs(environment: Readonly<Record<string, string>>): Settings['environment'] {
  return Object.entries(environment).map(([name, value]) => ({ name, value }))
}
