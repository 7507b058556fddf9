/**
 * A build that is only told: steps are written down in place of being run. What sources are asked about themselves is
 * run all the same, as long as everything is there that the question stands on.
 */
import { NspawnError } from '../errors.ts'
import type { BuildLayer } from './session.ts'
import type { Step } from './step-runner.ts'

export interface PlannedStep {
  readonly phase: string
  readonly id: string
  readonly title: string
  readonly command: readonly string[]
  readonly user: string
  readonly network: 'loopback' | 'host'
  /** It has been run: it only asks. */
  readonly asked: boolean
}

export interface PlannedLayer {
  readonly kind: string
  /** Absent where nobody could find it again. */
  readonly key?: string | undefined
  /** `kept`: it is there and fits. */
  readonly origin: BuildLayer['origin']
}

export class Rehearsal {
  readonly steps: PlannedStep[] = []
  readonly layers: PlannedLayer[] = []
  /** Directories that would have something in them by now. */
  private readonly unmade = new Set<string>()
  private readonly phase: () => string

  /** @param phase which one is under way */
  constructor(phase: () => string) {
    this.phase = phase
  }

  /** Whether a step is only written down. */
  skips(step: Step): boolean {
    const { root, privateNetwork } = step.settings
    const asked =
      this.phase() === 'dependencies' && privateNetwork && !this.standsOnUnmade(step.settings)
    this.write(step, asked)
    if (!asked && root.kind === 'layers') this.unmade.add(root.upper)
    return !asked
  }

  /** @throws NspawnError `NOT_KNOWN_YET` when there is nothing that a question could be put to */
  ask(step: Step): void {
    if (!this.standsOnUnmade(step.settings)) return this.write(step, true)
    throw new NspawnError(`what comes of "${step.title}" decides what is done next`, {
      code: notKnownYet,
      operation: 'plan build',
      subject: step.id,
    })
  }

  /** A layer that would be filled. */
  unmadeLayer(upper: string): void {
    this.unmade.add(upper)
  }

  standsOnUnmade({ root }: Step['settings']): boolean {
    return (
      root.kind === 'layers' && [...root.layers, root.upper].some((one) => this.unmade.has(one))
    )
  }

  private write({ id, title, settings }: Step, asked: boolean): void {
    const { command, user = 'root', privateNetwork } = settings
    const network = privateNetwork ? 'loopback' : 'host'
    this.steps.push({ phase: this.phase(), id, title, command, user, network, asked })
  }
}

export const notKnownYet = 'NOT_KNOWN_YET'
