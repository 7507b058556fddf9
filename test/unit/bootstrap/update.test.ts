import { expect, test } from 'vitest'
import { compare } from '../../../src/bootstrap/update.ts'

const one = (name: string, version: string, architecture = 'amd64') => ({
  name,
  version,
  architecture,
})

test('what changed is told by name and architecture, with what is new and what is gone', () => {
  const before = [one('a', '1'), one('b', '1'), one('c', '1'), one('a', '1', 'i386')]
  const after = [one('a', '2'), one('b', '1'), one('d', '1'), one('a', '1', 'i386')]
  expect(compare(before, after)).toEqual([
    { name: 'a', architecture: 'amd64', from: '1', to: '2' },
    { name: 'c', architecture: 'amd64', from: '1', to: undefined },
    { name: 'd', architecture: 'amd64', from: undefined, to: '1' },
  ])
  expect(compare(before, before)).toEqual([])
})

test('of a package with several versions only those that came and went are told', () => {
  const before = [one('kernel', '1'), one('kernel', '2')]
  const after = [one('kernel', '2'), one('kernel', '3'), one('kernel', '4')]
  expect(compare(before, after)).toEqual([
    { name: 'kernel', architecture: 'amd64', from: '1', to: '3' },
    { name: 'kernel', architecture: 'amd64', from: undefined, to: '4' },
  ])
})
