import { expect, test } from 'vitest'
import { parseChallenges } from '../../../../src/transfer/oci/challenge.ts'

const parse = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])

test.each([
  ['', []],
  ['Basic realm="a b"', [['basic', { realm: 'a b' }]]],
  [
    'Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push"',
    [
      [
        'bearer',
        {
          realm: 'https://auth.example/token',
          service: 'r.example',
          scope: 'repository:a/b:pull,push',
        },
      ],
    ],
  ],
  [
    'Negotiate, Basic realm = x , BEARER Realm="y\\"z",realm="late"',
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
      ['bearer', { realm: 'y"z' }],
    ],
  ],
  ['Basic realm="open', [['basic', {}]]],
  ['=?', []],
])('%s', (header, expected) => {
  expect(parse(header)).toEqual(expected)
})

test('a header without end takes no time', () => {
  const began = performance.now()
  parseChallenges(`Bearer ${'a="'.repeat(1_000_000)}`)
  parseChallenges('a '.repeat(1_000_000))
  expect(performance.now() - began).toBeLessThan(1000)
})
