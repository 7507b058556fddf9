import { expect, test } from 'vitest'
import { Paragraph } from '../../../../src/bootstrap/debian/deb822.ts'
import { readPackageIndex } from '../../../../src/bootstrap/debian/package-index.ts'
import { sha256 } from '../../../fixtures/source-archive.ts'
import { serve } from '../../../fixtures/web-server.ts'

const plain = Buffer.from('Package: a\nVersion: 1\n')

test('the release must have all components that are asked for, suites beside it need not', async () => {
  await using server = await serve({ '/main/binary-amd64/Packages': plain })
  const release = {
    suite: 's',
    base: new URL(server.origin),
    directory: new URL(`${server.origin}/`),
    fields: new Paragraph(),
    signers: [],
    files: new Map([
      ['main/binary-amd64/Packages', { sizeBytes: plain.length, sha256: sha256(plain) }],
    ]),
  }
  const read = async (...asked: readonly (readonly string[])[]) => {
    const sources = asked.map((components) => ({ release, components }))
    return [...(await readPackageIndex(sources, 'amd64', {})).names]
  }
  expect(await read(['main'], ['main', 'contrib'])).toEqual(['a'])
  await expect(read(['main', 'contrib'])).rejects.toMatchObject({
    code: 'BOOTSTRAP_SUITE',
    message: 's has no component contrib for amd64',
  })
})
