import { expect, test } from 'vitest'
import { isOddName } from '../../../src/build/own-names.ts'

test.each([
  'build.log',
  'build.json',
  'build.provenance.json',
  'build-steps',
  'build-steps/01-build.log',
  'chain.json',
  '.#tiny.deb.12-34.part',
  'dist/.#x',
  'a\nb',
  'a\u007f',
])('%j is no name for a result', (name) => {
  expect(isOddName(name)).toBe(true)
})

test.each(['tiny_1.0_amd64.deb', 'dist/build.log', 'build.log.gz', '#x', 'ä.txt', 'a b'])(
  '%j is one',
  (name) => {
    expect(isOddName(name)).toBe(false)
  },
)
