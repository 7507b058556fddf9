import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  stripArmour,
  verifyClearsigned,
  verifyClearsignedByGpgv,
} from '../../../src/transfer/clearsign.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner, type Signer } from '../../fixtures/signing.ts'

const text = 'Source: hello\n- a line with a dash\n'

let directory: string
let alice: Signer
let bob: Signer
let signed: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'clearsign-'))
  alice = await makeSigner(directory, 'alice')
  bob = await makeSigner(directory, 'bob')
  signed = await alice.sign(text)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe.each([
  ['openpgp', verifyClearsigned, false],
  ['gpgv', verifyClearsignedByGpgv, lacks('program:gpgv')],
] as const)('%s', (_name, verify, skipped) => {
  describe.skipIf(skipped)('finds that', () => {
    test('a signature by a key of the keyring is valid, and only its text comes back', async () => {
      const verdict = await verify(signed, [bob.keyring, alice.keyring])
      expect(verdict).toMatchObject({
        state: 'valid',
        signers: [expect.stringContaining(alice.keyId)],
      })
      expect(verdict).toHaveProperty(
        'text',
        expect.stringMatching(/^Source: hello\n- a line with a dash\s*$/),
      )
    })

    test('a changed text is bad', async () => {
      const verdict = await verify(signed.replace('hello', 'hellp'), [alice.keyring])
      expect(verdict.state).toBe('bad')
    })

    test('a signature by another key is by an unknown key', async () => {
      expect(await verify(signed, [bob.keyring])).toMatchObject({
        state: 'unknown-key',
        keys: [alice.keyId],
      })
    })

    test('a text without a signature is unsigned', async () => {
      expect(await verify(text, [alice.keyring])).toEqual({ state: 'unsigned' })
    })

    test.each([
      ['before', (armoured: string) => `Source: evil\n\n${armoured}`],
      ['after', (armoured: string) => `${armoured}\nSource: evil\n`],
      ['twice', (armoured: string) => armoured + armoured],
    ])('something %s the armour is refused', async (_where, change) => {
      await expect(verify(change(signed), [alice.keyring])).rejects.toMatchObject({
        code: 'BAD_ARMOUR',
      })
    })
  })
})

test('an armoured keyring is read too', async () => {
  expect((await verifyClearsigned(signed, [alice.armouredKeyring])).state).toBe('valid')
})

test('a keyring that is not there is an error, not a missing key', async () => {
  await expect(verifyClearsigned(signed, ['/nowhere.gpg'])).rejects.toMatchObject({
    code: 'ENOENT',
  })
})

test('armour comes off without a check, dashes unescaped', () => {
  expect(stripArmour(signed).trimEnd()).toBe(text.trimEnd())
  expect(stripArmour(text)).toBe(text)
})
