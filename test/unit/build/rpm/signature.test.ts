import { expect, test } from 'vitest'
import { sourceSignature } from '../../../../src/build/rpm/signature.ts'

const digests = ['    Header SHA256 digest: OK', '    MD5 digest: OK']
const header = (verdict: string) =>
  `    Header V4 RSA/SHA256 Signature, key ID 8a9205d5: ${verdict}`

test.each([
  ['good', [header('OK'), '    V4 RSA/SHA256 Signature, key ID 8a9205d5: OK']],
  ['unknown', [header('NOKEY')]],
  ['bad', [header('BAD')]],
  ['bad', [header('OK'), header('NOTTRUSTED')]],
  ['none', ['/builddir/originals/signature.src.rpm:']],
] as const)('a signature is %s', (expected, lines) => {
  expect(sourceSignature([...lines, ...digests])).toBe(expected)
})
