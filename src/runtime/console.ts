/** placeholder until the terminal pieces are in */
import type { ContainerPlan } from '../plan/plan.ts'
import type { PollEntry } from '../sys/fd.ts'
export class ConsoleForwarder {
  constructor(_fd: number, _plan: ContainerPlan) {}
  timeoutMs(): number {
    return -1
  }
  pollEntries(): PollEntry[] {
    return []
  }
  onEvents(_fd: number, _events: number): void {}
  copyWindowSize(): void {}
  takeRequest(): 'kill' | number | undefined {
    return undefined
  }
  drain(): void {}
  restore(): void {}
}
