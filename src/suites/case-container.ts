/** The container of a case, decided before it runs. Pure. */
import { builderSettings, overlay, type ContainerFacts } from '../build/containers.ts'
import type { Writable } from '../build/layers.ts'
import type { Settings } from '../settings/settings.ts'
import type { TestCase } from './suite.ts'

export interface CasePlace {
  /** Absolute host directories, the lowest one first. */
  readonly layers: readonly string[]
  readonly writable: Writable
}

/** The container that runs the command itself. */
export function commandSettings(
  test: TestCase,
  facts: ContainerFacts,
  { layers, writable }: CasePlace,
): Settings {
  const { command, user, directory, environment, network } = test
  return {
    ...builderSettings(facts, {
      root: overlay(layers, writable, 'test', false),
      command,
      user,
      directory,
      environment: {},
      options: { network, environment },
    }),
    volatile: test.container === 'volatile' ? 'overlay' : 'no',
  }
}

/**
 * The system that the command is run in.
 *
 * @param init `systemd` says when it is up; of others only that they have begun is known
 */
export function systemSettings(
  test: TestCase,
  facts: ContainerFacts,
  place: CasePlace,
  init: 'systemd' | 'other',
): Settings {
  const settings = commandSettings(test, facts, place)
  return {
    ...settings,
    startMode: 'boot',
    command: [],
    user: undefined,
    workingDirectory: undefined,
    environment: [],
    notifyReady: init === 'systemd',
    // Whoever runs the command finds the machine by its name.
    register: 'auto',
    keepUnit: false,
  }
}
