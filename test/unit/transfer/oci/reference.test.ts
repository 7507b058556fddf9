import { describe, expect, test } from 'vitest'
import { parseReference } from '../../../../src/transfer/oci/reference.ts'

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`

test.each([
  ['debian', { image: 'debian' }],
  ['debian:trixie-slim', { image: 'debian', tag: 'trixie-slim' }],
  ['library/debian', { image: 'library/debian' }],
  [
    'registry.example/a/b__c/d-e.f:V_1.2-x',
    { registry: 'registry.example', image: 'a/b__c/d-e.f', tag: 'V_1.2-x' },
  ],
  ['localhost/web', { registry: 'localhost', image: 'web' }],
  ['Example:5000/web', { registry: 'Example:5000', image: 'web' }],
  ['127.0.0.1:5000/web:1', { registry: '127.0.0.1:5000', image: 'web', tag: '1' }],
  ['[::1]:5000/web', { registry: '[::1]:5000', image: 'web' }],
  [`web@${digest}`, { image: 'web', digest }],
  [
    `registry.example/web:1@${digest}`,
    { registry: 'registry.example', image: 'web', tag: '1', digest },
  ],
])('%s', (text, parts) => {
  expect(parseReference(text)).toEqual({
    registry: undefined,
    tag: undefined,
    digest: undefined,
    ...parts,
  })
})

describe('what is no reference is refused, with the reason', () => {
  test.each([
    ['', /no name of an image/],
    ['Debian', /no name of an image/],
    ['a//b', /no name of an image/],
    ['a/../b', /no name of an image/],
    ['registry.example/', /no name of an image/],
    ['a..b/c', /no registry/],
    ['-x.example/c', /no registry/],
    ['host:0/c', /no registry/],
    ['host:65536/c', /no registry/],
    ['user@host/c', /not a digest/],
    ['web:', /no tag/],
    ['web:-x', /no tag/],
    [`web:${'x'.repeat(129)}`, /no tag/],
    ['x'.repeat(256), /no name of an image/],
    [`web@${digest}@${digest}`, /two digests/],
    ['web@sha256:ABC', /not a digest/],
    [`web@sha512:${'0'.repeat(128)}`, /sha512/],
    ['https://registry.example/web', /is a URL/],
    ['docker://web', /is a URL/],
    ['web\n', /no name of an image/],
  ])('%j', (text, why) => {
    expect(() => parseReference(text)).toThrow(why)
  })
})
