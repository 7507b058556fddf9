import { expect, test } from 'vitest'
import { scopeArguments } from '../../../src/runtime/scope.ts'

test('systemd is asked for a scope with what containers need', () => {
  const registration = { slice: 'a.slice', properties: ['MemoryMax=1G'] }
  const words = scopeArguments({ machine: 'web', killSignal: 37, registration }, 4711, ':1.7')
  expect(words.slice(0, 4)).toEqual(['ssa(sv)a(sa(sv))', 'web.scope', 'fail', '10'])
  const text = words.slice(4).join(' ')
  expect(text).toContain('PIDs au 1 4711 ')
  expect(text).toContain('Slice s a.slice Delegate b true ')
  expect(text).toMatch(/ KillSignal i 37 KillMode s mixed Controller s :1.7 0$/)
})

test('without a kill signal the scope has the usual one', () => {
  const registration = { slice: 'machine.slice', properties: [] }
  const words = scopeArguments(
    { machine: 'web', killSignal: undefined, registration },
    1,
    undefined,
  )
  expect(words[3]).toBe('7')
  expect(words).not.toContain('KillSignal')
})
