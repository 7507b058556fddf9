/** A machine as programs see it: found by its name or started, asked, entered and ended. */
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NspawnError } from '../errors.ts'
import { packageDirectory, placesEnvironment, stateDirectory } from '../paths.ts'
import { programEnvironment, runProgram, type ProgramResult } from '../process.ts'
import { isOwnerAlive } from '../owner.ts'
import { listMachines, type RunningMachine } from '../runtime/registry.ts'
import { copyFromMachine, copyToMachine, type MachineCopy } from './copy.ts'
import { requireMachine } from './find.ts'
import { killMachine, powerOff, reboot, terminate } from './power.ts'
import { startInBackground } from './start.ts'

export interface EnterOptions {
  /** By default root. */
  readonly user?: string | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
}

export interface StartOptions {
  readonly machinesDirectory?: string | undefined
  readonly stateDirectory?: string | undefined
}

type CopyOptions = Partial<Pick<MachineCopy, 'existing' | 'signal'>>

const LOOK_MS = 20
const EVERY_STATUS = Array.from({ length: 256 }, (_, status) => status)

export class Machine {
  /** As it was registered when this was made. */
  readonly record: RunningMachine

  private constructor(record: RunningMachine) {
    this.record = record
  }

  /** All that run, by name. */
  static list(): Machine[] {
    return listMachines().map((record) => new Machine(record))
  }

  /** @throws NspawnError `MACHINE_NOT_FOUND` */
  static get(name: string): Machine {
    return new Machine(requireMachine(name))
  }

  /**
   * Boots the image of this name in the background, where it outlives the program that started it.
   *
   * @returns when its init runs; at once when it runs already
   * @throws NspawnError `MACHINE_FAILED` with the last lines of its console
   */
  static async start(name: string, options: StartOptions = {}): Promise<Machine> {
    await startInBackground(name, {
      machinesDirectory: options.machinesDirectory,
      stateDirectory: stateDirectory(options.stateDirectory),
    })
    return Machine.get(name)
  }

  get name(): string {
    return this.record.name
  }

  isRunning(): boolean {
    return isOwnerAlive(this.record.leader)
  }

  /**
   * Runs a command in the machine and waits for its end.
   *
   * @returns its status (128 + N when signal N ended it; 126 and 127 when it cannot be executed) and its output
   */
  run(
    command: readonly [string, ...string[]],
    { user = 'root', environment = {}, signal }: EnterOptions = {},
  ): Promise<ProgramResult> {
    const assignments = Object.entries(environment).map(([name, value]) => `-E${name}=${value}`)
    return ownProgram(
      `cannot run ${command[0]} in machine ${this.name}`,
      ['shell', '--uid', user, ...assignments, this.name, '--', ...command],
      { accept: EVERY_STATUS, signal },
    )
  }

  /** @param machinePath absolute; by default as on the host */
  async copyTo(hostPath: string, machinePath = hostPath, options: CopyOptions = {}): Promise<void> {
    await copyToMachine(this.record, { existing: 'merge', ...options, hostPath, machinePath })
  }

  /** @param machinePath absolute */
  async copyFrom(
    machinePath: string,
    hostPath = machinePath,
    options: CopyOptions = {},
  ): Promise<void> {
    await copyFromMachine(this.record, { existing: 'merge', ...options, hostPath, machinePath })
  }

  /** Shows a file or directory of the host in the machine, until that ends. */
  async bind(
    source: string,
    target = source,
    access: 'read-write' | 'read-only' = 'read-write',
  ): Promise<void> {
    const options = access === 'read-only' ? ['--read-only'] : []
    await ownProgram(`cannot bind ${source} into machine ${this.name}`, [
      ...['bind', ...options, '--mkdir', this.name, source, target],
    ])
  }

  /** Asks for an orderly end. @throws NspawnError `MACHINE_DEAF` */
  powerOff(): void {
    powerOff(this.record)
  }

  /** @throws NspawnError `MACHINE_DEAF` */
  reboot(): void {
    reboot(this.record)
  }

  /** Ends it at once, and returns when everything has been undone. */
  terminate(): Promise<void> {
    return terminate(this.record)
  }

  /** @param whom `leader`: the machine's first process; `all`: every one */
  kill(signal: number, whom: 'leader' | 'all' = 'all'): void {
    killMachine(this.record, whom, signal)
  }

  /** Waits until this run of the machine is over. */
  async ended(signal?: AbortSignal): Promise<void> {
    while (this.isRunning()) await sleep(LOOK_MS, undefined, { signal })
  }
}

/** Entering a machine takes a fork, and so a process of Node that was started for it. */
async function ownProgram(
  step: string,
  args: readonly string[],
  options: Parameters<typeof runProgram>[2] = {},
): Promise<ProgramResult> {
  const top = packageDirectory(dirname(import.meta.filename))
  const program = join(top, 'bin/tsnspawn-build.cjs')
  try {
    const env = programEnvironment(placesEnvironment())
    return await runProgram(step, [process.execPath, program, ...args], { env, ...options })
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'PROGRAM_FAILED') throw error
    throw new NspawnError(error.message, {
      code: 'MACHINE_REFUSED',
      operation: args[0],
      cause: error,
    })
  }
}
