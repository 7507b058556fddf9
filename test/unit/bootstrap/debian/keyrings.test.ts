import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { verifyWithKeyrings } from '../../../../src/bootstrap/debian/keyrings.ts'
import { makeSigner } from '../../../fixtures/signing.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

test('a keyring is read whether it is binary, armoured, or armoured behind words', async () => {
  await using dir = await temporaryDirectory()
  const { readKey } = await import('openpgp')
  const signer = await makeSigner(dir.path, 'alice')
  const key = await readKey({ binaryKey: readFileSync(signer.keyring) })
  const text = await signer.sign('Origin: here\n')
  for (const bytes of [key.write(), key.armor(), `of alice\n\n${key.armor()}`]) {
    const keyring = join(dir.path, 'keyring')
    writeFileSync(keyring, bytes)
    expect(await verifyWithKeyrings(text, [keyring])).toMatchObject({ state: 'valid' })
  }
})
