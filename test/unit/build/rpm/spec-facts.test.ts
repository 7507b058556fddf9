import { expect, test } from 'vitest'
import {
  isDynamic,
  parseRequirements,
  parseSpecFacts,
  specMark,
} from '../../../../src/build/rpm/spec-facts.ts'

const answer = ['name tiny', 'version 2:1.0-1', 'requires b >= 2', 'requires a', 'conflicts c']
const parse = (spec: readonly string[], head = answer) =>
  parseSpecFacts([...head, specMark, ...spec])

test('name, version and dependencies are those of the query, sorted', () => {
  expect(parse([])).toEqual({
    name: 'tiny',
    version: '2:1.0-1',
    requirements: { requires: ['a', 'b >= 2'], conflicts: ['c'] },
    sources: [],
  })
})

test('what rpm itself must be able to do is no dependency, but tells that there are generated ones', () => {
  const lines = ['requires rpmlib(DynamicBuildRequires) <= 4.15.0-1', 'requires a', 'requires a']
  expect(parseRequirements(lines).requires).toEqual(['a'])
  expect(isDynamic(['rpmlib(DynamicBuildRequires) <= 4.15.0-1'])).toBe(true)
  expect(isDynamic(['rpmlib(FileDigests) <= 4.6.0-1'])).toBe(false)
})

test('sources are tags and lists, and nothing in texts or scripts', () => {
  const spec = [
    ...['Name: tiny', 'Source0: a.tar', 'source:  http://x/b.tar', 'Patch12: c.patch'],
    ...['%description', 'Source1: not-this', '%package doc', 'Source2: d.tar'],
    ...['%sourcelist', 'e.tar', '# f.tar', '%prep', 'Source3: not-this'],
  ]
  expect(parse(spec).sources).toEqual(['a.tar', 'http://x/b.tar', 'c.patch', 'd.tar', 'e.tar'])
})

test.each([
  ['an escape sequence', ['name tiny', 'version 1-1', 'requires \u001b[2J']],
  ['no name', ['version 1-1']],
  ['a name that is a path', ['name ../tiny', 'version 1-1']],
  ['a version with a blank', ['name tiny', 'version 1 -1']],
])('%s is refused', (_what, head) => {
  expect(() => parse([], head)).toThrow(expect.objectContaining({ code: 'SOURCE_INVALID' }))
})
