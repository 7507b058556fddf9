import { expect, test, vi } from 'vitest'
import { Watchdog } from '../../../src/runtime/service-manager.ts'

test('a watchdog that means us is told twice in its time', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const told: string[] = []
    const watchdog = new Watchdog((...fields) => void told.push(...fields), {
      WATCHDOG_USEC: '3000000',
      WATCHDOG_PID: String(process.pid),
    })
    expect(watchdog.timeoutMs()).toBe(1500)
    vi.advanceTimersByTime(1000)
    watchdog.keepAlive()
    expect(told).toEqual([])
    expect(watchdog.timeoutMs()).toBe(500)
    vi.advanceTimersByTime(600)
    expect(watchdog.timeoutMs()).toBe(0)
    watchdog.keepAlive()
    expect(told).toEqual(['WATCHDOG=1'])
    expect(watchdog.timeoutMs()).toBe(1500)
  } finally {
    vi.useRealTimers()
  }
})

test.each([{}, { WATCHDOG_USEC: '0' }, { WATCHDOG_USEC: '3000000', WATCHDOG_PID: '1' }])(
  'with %j nothing is due',
  (environment) => {
    expect(new Watchdog(() => {}, environment).timeoutMs()).toBe(-1)
  },
)
