import { expect, test } from 'vitest'
import { exitClass, exitCodes } from '../../../src/cli/exit-codes.ts'
import { NspawnError, usageError } from '../../../src/errors.ts'

test('bad input, a bad source, missing dependencies and a failed build have statuses of their own', () => {
  expect(exitClass(usageError('no'))).toBe('usage')
  expect(exitClass(new NspawnError('no', { code: 'SOURCE_CHECKSUM' }))).toBe('source')
  expect(exitClass(new NspawnError('no', { code: 'DEPENDENCY_UNSATISFIABLE' }))).toBe('dependency')
  expect(exitClass(new NspawnError('no', { code: 'BUILD_FAILED' }))).toBe('build')
  expect(new Set(Object.values(exitCodes)).size).toBe(Object.keys(exitCodes).length)
})

test('the cause decides when the outer error says nothing about the class', () => {
  const cause = new NspawnError('write', { code: 'ENOSPC' })
  expect(exitClass(new NspawnError('cannot copy', { code: 'COPY', cause }))).toBe('limit')
})

test('what nobody has classed is our own failure', () => {
  expect(exitClass(new NspawnError('mount', { code: 'EPERM' }))).toBe('internal')
  expect(exitClass(new TypeError('x is not a function'))).toBe('internal')
})
