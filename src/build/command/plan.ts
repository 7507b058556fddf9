/** The one step of a command build, decided before it runs. Pure, so that it can be shown and tested. */
import { builderSettings, overlay, type ContainerFacts } from '../containers.ts'
import type { BuildOptions } from '../driver.ts'
import type { Writable } from '../layers.ts'
import type { Step } from '../step-runner.ts'
import { homeDirectory, sourceDirectory } from './places.ts'

export interface CommandOptions extends BuildOptions {
  /** Not empty; found in PATH, or relative to the source directory when it has a slash. */
  readonly command: readonly string[]
  /** Packages that the tree's own package manager installs before. */
  readonly packages: readonly string[]
  /** Results: paths relative to the source directory, with `*`, `**`, `?`, `[…]` and `{…}`; `!…` leaves out. */
  readonly collect: readonly string[]
}

export interface CommandPlanRequest extends ContainerFacts {
  readonly options: CommandOptions
  /** Absolute host directories, the lowest one first. */
  readonly layers: readonly string[]
  /** What the command writes. */
  readonly build: Writable
  /** Name or number in the container. */
  readonly user: string
}

/** Plans the command's container. */
export function planCommand(request: CommandPlanRequest): Step {
  const { options, layers, build, user } = request
  return {
    id: 'build',
    title: `run ${options.command[0]}`,
    settings: builderSettings(request, {
      root: overlay(layers, build, 'build', false),
      command: options.command,
      user,
      directory: sourceDirectory,
      environment: { HOME: homeDirectory, MAKEFLAGS: `-j${options.jobs}` },
      options,
    }),
    failure: 'BUILD_FAILED',
    hint: 'look into the log; --shell-on-failure opens a shell where the command stopped',
  }
}
