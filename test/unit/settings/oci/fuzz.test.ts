/** Whatever is in a `config.json`, the reader takes it or says what is wrong: it never fails in another way. */
import { expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { readCommandLine } from '../../../../src/settings/argv.ts'
import { parseBundle } from '../../../../src/settings/oci/bundle.ts'
import { bundleMutations, wholeBundle } from '../../../fixtures/oci-bundle.ts'
import { seededRandom } from '../../../fixtures/random.ts'

function verdict(bytes: Uint8Array): 'taken' | 'refused' {
  const line = readCommandLine(['--oci-bundle=/b'], { cwd: '/', env: {}, version: '' })
  if (line.kind === 'text') throw new Error('only a text')
  try {
    const { settings } = line.settle(
      parseBundle({ directory: '/b', path: '/b/config.json', bytes }),
    )
    expect(JSON.parse(JSON.stringify(settings))).toBeDefined()
    return 'taken'
  } catch (error) {
    if (error instanceof NspawnError && error.code !== 'BUG') return 'refused'
    throw error
  }
}

test('a bundle with all that there is', () => {
  expect(verdict(Buffer.from(JSON.stringify(wholeBundle)))).toBe('taken')
})

test('values of other types, missing ones, and more of them', () => {
  const verdicts = new Map<string, number>()
  for (const config of bundleMutations(1, 6000)) {
    const said = verdict(Buffer.from(JSON.stringify(config)))
    verdicts.set(said, (verdicts.get(said) ?? 0) + 1)
  }
  // Both happen often, or nothing would have been tried.
  expect(Math.min(verdicts.get('taken') ?? 0, verdicts.get('refused') ?? 0)).toBeGreaterThan(500)
})

test('bytes that are no JSON any more', () => {
  const random = seededRandom(2)
  const whole = Buffer.from(JSON.stringify(wholeBundle))
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(whole)
    for (let change = 0; change < 1 + random(4); change++) bytes[random(bytes.length)] = random(256)
    verdict(random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes)
  }
})

test.each([
  '',
  'null',
  '[]',
  '"x"',
  '{"__proto__":{"a":1}}',
  '{"ociVersion":"1.0.0","root":{"path":"r"},"annotations":{"__proto__":"x"},"linux":{"sysctl":{"constructor":"1"}}}',
  '['.repeat(100_000),
  `{"a":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
])('%.40s', (text) => {
  expect(verdict(Buffer.from(text))).toBe('refused')
})
