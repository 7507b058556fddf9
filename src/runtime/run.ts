/** The short way to a container: a command in a tree, with the defaults that tests and tools want. */
import { usageError } from '../errors.ts'
import { defaultSettings, type Settings } from '../settings/settings.ts'
import { runContainer, type ContainerOutcome, type ContainerRun } from './client.ts'

export interface RunOptions extends Partial<Omit<ContainerRun, 'settings'>> {
  /** A tree: the name of an image, or an absolute path. */
  readonly in: string
  /** Program and arguments. */
  readonly command: readonly string[]
  /** Write to the tree itself; by default all changes are thrown away. */
  readonly persist?: boolean | undefined
  /** `host`: the host's network, which is the default; `none`: a loopback interface. */
  readonly network?: 'host' | 'none' | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** By default root. */
  readonly user?: string | undefined
  readonly workingDirectory?: string | undefined
  /** Everything else; what is named here comes last. */
  readonly settings?: Partial<Settings> | undefined
}

/**
 * Runs a command in a container and waits for its end. Output is captured unless `stdio` says otherwise.
 *
 * @throws NspawnError when the container could not be set up or the program not be executed; a program that
 *   fails is an outcome, not an error
 */
export function run(options: RunOptions): Promise<ContainerOutcome> {
  const { in: tree, command, persist, network, environment = {}, user, workingDirectory } = options
  if (command.length === 0) throw usageError('there is no command to run')
  const settings: Settings = {
    ...defaultSettings(),
    root: tree.startsWith('/')
      ? { kind: 'directory', path: tree }
      : { kind: 'machine', name: tree },
    ephemeral: persist !== true,
    privateNetwork: network === 'none',
    environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
    user,
    workingDirectory,
    command,
    register: 'no',
    quiet: true,
    ...options.settings,
  }
  return runContainer({ stdio: 'capture', ...options, settings })
}
