import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as openpgp from 'openpgp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyClearsigned, verifyClearsignedByGpgv } from '../../../src/transfer/clearsign.ts'
import { readKeyring } from '../../../src/transfer/open-pgp.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const hour = 3_600_000
const born = new Date(Date.now() - 48 * hour)
const signedAt = new Date(born.getTime() + hour)

let directory: TemporaryDirectory
let keys: Record<'good' | 'stranger' | 'stolen' | 'expired', openpgp.PrivateKey>
/** Keyrings with the public keys. */
const keyrings: Record<string, string> = {}

beforeAll(async () => {
  directory = await temporaryDirectory()
  const makeKey = async (keyExpirationTime = 0) => {
    const userIDs = [{ name: 'somebody' }]
    const options = { type: 'rsa', rsaBits: 2048, date: born, keyExpirationTime, userIDs } as const
    return (await openpgp.generateKey({ ...options, format: 'object' })).privateKey
  }
  keys = {
    good: await makeKey(),
    stranger: await makeKey(),
    stolen: await makeKey(),
    expired: await makeKey(24 * 3600),
  }
  const { publicKey: revoked } = await openpgp.revokeKey({
    key: keys.stolen,
    reasonForRevocation: { flag: openpgp.enums.reasonForRevocation.keySuperseded },
    format: 'object',
  })
  for (const [name, key] of Object.entries({ ...keys, stolen: revoked })) {
    keyrings[name] = join(directory.path, `${name}.gpg`)
    writeFileSync(keyrings[name], key.toPublic().write())
  }
}, 60_000)

afterAll(async () => directory[Symbol.asyncDispose]())

type Name = keyof typeof keys

const sign = async (names: readonly Name[]): Promise<string> =>
  openpgp.sign({
    message: await openpgp.createCleartextMessage({ text: 'Origin: here\n' }),
    signingKeys: names.map((name) => keys[name]),
    date: signedAt,
  })

test('a keyring may be binary, or armoured blocks one after another with words between them', async () => {
  const armoured = ['good', 'stranger'] as const
  const text = armoured.map((name) => `uid ${name}\r\n\n${keys[name].toPublic().armor()}`).join('')
  const path = join(directory.path, 'both.asc')
  const ids = async () => (await readKeyring(path)).map((key) => key.getKeyID().toHex())
  const expected = armoured.map((name) => keys[name].getKeyID().toHex())
  writeFileSync(path, text)
  expect(await ids()).toEqual(expected)
  writeFileSync(path, Buffer.concat(armoured.map((name) => readFileSync(keyrings[name]!))))
  expect(await ids()).toEqual(expected)
  writeFileSync(path, 'no key at all\n')
  await expect(ids()).rejects.toMatchObject({ code: 'BAD_KEYRING', subject: path })
})

describe.each([
  ['openpgp', verifyClearsigned, false],
  ['gpgv', verifyClearsignedByGpgv, lacks('program:gpgv')],
] as const)('%s', (_name, verify, skipped) => {
  describe.skipIf(skipped)('takes', () => {
    const judged = async (
      signers: readonly Name[],
      trusted: readonly Name[],
      expiredKeys: 'accept' | 'refuse' = 'refuse',
    ) => {
      const paths = trusted.map((name) => keyrings[name]!)
      return verify(await sign(signers), paths, { expiredKeys })
    }

    test('one good signature beside that of a key which is not there', async () => {
      for (const signers of [['good', 'stranger'] as const, ['stranger', 'good'] as const]) {
        const verdict = await judged(signers, ['good'])
        expect(verdict).toMatchObject({
          state: 'valid',
          text: expect.stringMatching(/^Origin: here/),
        })
        expect(verdict).toHaveProperty('signers.length', 1)
      }
    })

    test('no signature of a revoked key, even one that says to be older', async () => {
      for (const expiredKeys of ['accept', 'refuse'] as const) {
        expect(await judged(['stolen'], ['stolen'], expiredKeys)).toMatchObject({
          state: 'bad',
          why: expect.stringContaining('revoked') as string,
        })
      }
    })

    test('a good signature beside that of a revoked key', async () => {
      const verdict = await judged(['stolen', 'good'], ['stolen', 'good'])
      expect(verdict).toHaveProperty('signers.length', 1)
    })

    test('an expired key only where that is asked for', async () => {
      expect(await judged(['expired'], ['expired'], 'accept')).toMatchObject({ state: 'valid' })
      expect(await judged(['expired'], ['expired'], 'refuse')).toMatchObject({
        state: 'bad',
        why: expect.stringContaining('expired') as string,
      })
    })
  })
})
