/** `Boot=`, `ProcessTwo=` and `Parameters=`: they decide together what runs, and the command line masks all three. */
import { usageError } from '../../errors.ts'
import type { Draft } from '../draft.ts'
import type { StartMode } from '../settings.ts'
import { parseBoolean } from '../values/boolean.ts'

export const startModeKeys = ['Boot', 'ProcessTwo', 'Parameters'] as const

/** The mode after one more assignment, as systemd-nspawn steps from one to the next. */
type Step = (before: StartMode | undefined) => StartMode | 'conflict'

const steps: Readonly<Record<'Boot' | 'ProcessTwo', Readonly<Record<'yes' | 'no', Step>>>> = {
  Boot: {
    yes: (before) => (before === 'stub-init' ? 'conflict' : 'boot'),
    no: (before) => (before === 'boot' ? 'conflict' : (before ?? 'command')),
  },
  ProcessTwo: {
    yes: (before) => (before === 'boot' ? 'conflict' : 'stub-init'),
    no: (before) => (before === 'stub-init' ? 'conflict' : (before ?? 'command')),
  },
}

export class FileStartMode {
  private mode: StartMode | undefined
  private parameters: readonly string[] = []

  /** @throws NspawnError (`USAGE`); then nothing has changed */
  assign(key: 'Boot' | 'ProcessTwo', text: string): void {
    const mode = steps[key][parseBoolean(text) ? 'yes' : 'no'](this.mode)
    if (mode === 'conflict') throw usageError('Boot= and ProcessTwo= contradict each other')
    this.mode = mode
  }

  /** Words of a `Parameters=`, after those before. */
  append(words: readonly string[]): void {
    this.parameters = [...this.parameters, ...words]
  }

  forgetParameters(): void {
    this.parameters = []
  }

  /** Undefined while neither key was given: parameters alone start nothing. */
  get chosen(): StartMode | undefined {
    return this.mode
  }

  get hasParameters(): boolean {
    return this.parameters.length > 0
  }

  apply(draft: Draft): void {
    draft.settings.startMode = this.mode ?? 'command'
    draft.settings.command = this.parameters
  }
}
