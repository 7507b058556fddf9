/** A virtual machine that runs the cases and ends with its scope, whatever came of them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { testDirectory } from '../../fixtures/debian-tree.ts'
import type { GuestEvent } from '../protocol.ts'
import { machineDisk, type MachineDisk } from './disk.ts'
import { makeProjectDisk } from './project-disk.ts'

/** From the start to the last case. */
const LIMIT_MS = 540_000

export interface CaseOutcome {
  readonly ms: number
  readonly failure?: string | undefined
}

interface Waiting {
  readonly outcome: Promise<CaseOutcome>
  readonly resolve: (outcome: CaseOutcome) => void
}

export class Machine implements AsyncDisposable {
  /** Holds `console.log` and `journal.log`; kept when something went wrong. */
  readonly directory: string
  readonly #qemu: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #cases = new Map<string, Waiting>()
  readonly #lanesThatRun: Set<string>
  #allWell = true
  /** Why nothing more will be heard. */
  #over: string | undefined

  private constructor(directory: string, qemu: ChildProcess, lanes: readonly string[]) {
    this.directory = directory
    this.#qemu = qemu
    this.#lanesThatRun = new Set(lanes)
    this.#exited = once(qemu, 'exit')
    const timer = setTimeout(() => this.#end('it took too long'), LIMIT_MS)
    void this.#exited.then(() => {
      clearTimeout(timer)
      this.#end('the machine has ended')
    })
    const lines = createInterface({ input: qemu.stdout! })
    lines.on('line', (line) => this.#hear(line))
  }

  /**
   * Starts it.
   *
   * @param groups names of the groups of cases that it runs
   * @param lanes that are waited for
   */
  static async boot(groups: readonly string[], lanes: readonly string[]): Promise<Machine> {
    await mkdir(testDirectory, { recursive: true })
    const base = await machineDisk()
    const directory = await mkdtemp(join(testDirectory, 'vm-run-'))
    const project = await makeProjectDisk(directory, groups)
    // It ends with us, whatever ends us.
    const program = ['--pdeathsig=KILL', 'qemu-system-x86_64']
    const qemu = spawn('setpriv', [...program, ...qemuArguments(base, project, directory)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Where it keeps what was written until it ends.
      env: { ...process.env, TMPDIR: directory },
    })
    await once(qemu, 'spawn')
    return new Machine(directory, qemu, lanes)
  }

  /** What came of a case; waits until that is known. */
  async outcome(id: string): Promise<CaseOutcome> {
    const outcome = await this.#waiting(id).outcome
    if (outcome.failure !== undefined) this.#allWell = false
    return outcome
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#qemu.kill('SIGKILL')
    await this.#exited
    await rm(join(this.directory, 'project.raw'), { force: true })
    if (this.#allWell) await rm(this.directory, { recursive: true })
  }

  #waiting(id: string): Waiting {
    const known = this.#cases.get(id)
    if (known !== undefined) return known
    let resolve: Waiting['resolve'] = () => {}
    const outcome = new Promise<CaseOutcome>((done) => (resolve = done))
    const waiting = { outcome, resolve }
    this.#cases.set(id, waiting)
    if (this.#over !== undefined) resolve({ ms: 0, failure: this.#over })
    return waiting
  }

  #hear(line: string): void {
    const event = JSON.parse(line) as GuestEvent
    if (event.kind === 'case') {
      this.#waiting(event.id).resolve(event)
      return
    }
    this.#lanesThatRun.delete(event.lane)
    if (this.#lanesThatRun.size === 0) this.#end(`its lane has ended: ${event.result}`)
  }

  /** Whoever waits still waits in vain. */
  #end(failure: string): void {
    this.#over ??= failure
    for (const { resolve } of this.#cases.values()) resolve({ ms: 0, failure })
    this.#qemu.kill('SIGKILL')
  }
}

function qemuArguments({ disk, kernel }: MachineDisk, project: string, logs: string): string[] {
  const drive = (id: string, file: string, mode: string) => [
    '-drive',
    `if=none,id=${id},file=${file},format=raw,cache=unsafe,${mode}`,
    '-device',
    `nvme,drive=${id},serial=${id}`,
  ]
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '3G'],
    ...drive('root', disk, 'snapshot=on'),
    ...drive('project', project, 'readonly=on'),
    ...['-serial', `file:${join(logs, 'console.log')}`],
    ...['-serial', 'stdio'],
    ...['-serial', `file:${join(logs, 'journal.log')}`],
    ...['-kernel', kernel],
    ...['-append', 'root=/dev/nvme0n1 rw console=ttyS0 net.ifnames=0 fsck.mode=skip panic=-1'],
  ]
}
