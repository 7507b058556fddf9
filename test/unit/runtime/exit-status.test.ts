import { describe, expect, test } from 'vitest'
import { judge } from '../../../src/runtime/exit-status.ts'
import type { ContainerEnd } from '../../../src/runtime/supervisor.ts'

const usage = { userMs: 1, systemMs: 1, maxRssKb: 1 }
const exited = (status: number): ContainerEnd => ({
  kind: 'ended',
  reason: { kind: 'exited', status },
  usage,
  limitHits: [],
})
const signaled = (signal: number): ContainerEnd => ({
  kind: 'ended',
  reason: { kind: 'signaled', signal },
  usage,
  limitHits: [],
})

describe('the exit status', () => {
  test.each([
    [exited(0), 0, 'exited successfully'],
    [exited(42), 42, 'failed with error code 42'],
    // 133 asks a service manager for a restart: a payload cannot say it.
    [exited(133), 1, 'failed with error code 133'],
    [signaled(11), 1, 'terminated by signal SEGV'],
    // What reboot(2) in a pid namespace does to its first process.
    [signaled(2), 0, 'has been shut down'],
    [{ kind: 'killed', by: 'escape' } as const, 1, 'terminated by signal KILL'],
  ])('of %j is %i', (end, status, text) => {
    const verdict = judge(end, 'web', false)
    expect(verdict.status).toBe(status)
    expect(verdict.text).toContain(text)
    expect(verdict.reboot).toBe(false)
  })

  test('of a reboot is left to the service manager with --keep-unit, else it is one', () => {
    expect(judge(signaled(1), 'web', true)).toMatchObject({ status: 133, reboot: true })
    expect(judge(signaled(1), 'web', false)).toMatchObject({ reboot: true })
  })
})
