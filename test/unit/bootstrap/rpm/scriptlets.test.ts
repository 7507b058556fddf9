import { expect, test } from 'vitest'
import { failedScriptlet, scriptletWatch } from '../../../../src/bootstrap/rpm/scriptlets.ts'

test.each([
  ['warning: %post(a-1.0-1.noarch) scriptlet failed, exit status 3', '%post of a-1.0-1.noarch'],
  ['>>> [RPM] %pretrans(b-2-1.x86_64) scriptlet failed, signal 9', '%pretrans of b-2-1.x86_64'],
  ['  Running scriptlet: a-1.0-1.noarch   1/1 ', undefined],
])('%s', (line, told) => {
  expect(failedScriptlet(line)).toBe(told)
})

test('they are collected from lines that are read for something else too', () => {
  const { failed, readLine } = scriptletWatch((line) => line.length)
  expect(readLine('error: %preun(c-1-1.noarch) scriptlet failed, exit status 1')).toBe(59)
  expect(readLine('x')).toBe(1)
  expect(failed).toEqual(['%preun of c-1-1.noarch'])
})
