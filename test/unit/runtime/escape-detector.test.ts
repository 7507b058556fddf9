import { describe, expect, test } from 'vitest'
import { EscapeDetector } from '../../../src/runtime/escape-detector.ts'

/** Types `[text, time]` pairs; says what went through and what was asked for. */
function type(...typed: readonly (readonly [string, number])[]) {
  const detector = new EscapeDetector()
  let passed = ''
  const actions: string[] = []
  for (const [text, time] of typed) {
    const scanned = detector.scan(Buffer.from(text, 'latin1'), time)
    passed += scanned.passed.map((part) => Buffer.from(part).toString('latin1')).join('')
    actions.push(...scanned.actions)
  }
  return { passed, actions }
}

const E = '\x1d'

describe('three escapes within a second', () => {
  test('end the container, pressed one by one or read at once', () => {
    expect(type([E, 0], [E, 300], [E, 1000]).actions).toEqual(['kill'])
    expect(type([E + E + E, 5]).actions).toEqual(['kill'])
    expect(type(['ls\r' + E, 5], [E + E, 6]).actions).toEqual(['kill'])
  })

  test('are the last three of many', () => {
    expect(type([E, 0], [E, 900], [E, 1100], [E, 1200]).actions).toEqual(['kill'])
  })

  test('do nothing when they come slowly', () => {
    expect(type([E, 0], [E, 500], [E, 1001])).toEqual({ passed: E + E + E, actions: [] })
    expect(type([E, 0], [E, 1100], [E, 2200], [E, 3300]).actions).toEqual([])
  })

  test('do nothing when something is typed between them', () => {
    expect(type([E + E + 'x' + E, 0])).toEqual({ passed: E + E + 'x' + E, actions: [] })
  })
})

test('two escapes and r restart, two escapes and p shut down', () => {
  expect(type([E, 0], [E, 10], ['r', 20])).toEqual({ passed: E + E, actions: ['reboot'] })
  expect(type([E + E + 'p', 0])).toEqual({ passed: E + E, actions: ['power-off'] })
})

test('r and p are letters after anything else than two fresh escapes', () => {
  for (const text of ['r', 'p', E + 'r', 'x' + E + 'p', E + E + 'R', E + 'r' + E + 'p']) {
    expect(type([text, 0])).toEqual({ passed: text, actions: [] })
  }
  expect(type([E + E, 0], ['r', 1001])).toEqual({ passed: E + E + 'r', actions: [] })
})

test('what comes after a sequence goes on to the payload, and a new one can begin', () => {
  expect(type([`a${E}${E}rbc`, 0], ['rp', 1])).toEqual({
    passed: `a${E}${E}bcrp`,
    actions: ['reboot'],
  })
  expect(type([E + E + 'r' + E + E + 'p', 0]).actions).toEqual(['reboot', 'power-off'])
  // The escape that completed a sequence is not the first of the next.
  expect(type([E + E + E + E + E, 0])).toEqual({ passed: E + E + E + E, actions: ['kill'] })
})

test('every other byte goes through as it is, however it is cut', () => {
  const all = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('')
  expect(type([all, 0], [all, 1])).toEqual({ passed: all + all, actions: [] })
  expect(type(...all.split('').map((byte) => [byte, 0] as const)).passed).toBe(all)
  expect(type(['', 0])).toEqual({ passed: '', actions: [] })
})
