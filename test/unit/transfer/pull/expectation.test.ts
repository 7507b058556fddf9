import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silent } from '../../../../src/log.ts'
import {
  checkAgainst,
  fetchExpectation,
  type Verification,
} from '../../../../src/transfer/pull/expectation.ts'
import { chooseKeyring, verifyDetached } from '../../../../src/transfer/pull/keyring.ts'
import { makeGpgSigner, type GpgSigner } from '../../../fixtures/gpg-signer.ts'
import { lacks } from '../../../fixtures/requires.ts'
import { serve } from '../../../fixtures/web-server.ts'

const content = 'the image'
const sha256 = createHash('sha256').update(content).digest('hex')
const list = `${sha256}  f.tar\n`
const lists = ['f.tar.sha256', 'SHA256SUMS']

async function judge(files: Record<string, Buffer | string>, verification: Verification) {
  const routes = Object.entries(files).map(([name, body]) => [`/${name}`, body])
  await using server = await serve(Object.fromEntries(routes) as Record<string, string>)
  const fetching = {
    url: new URL(`${server.origin}/f.tar`),
    signal: new AbortController().signal,
    log: silent,
  }
  const expected = await fetchExpectation(verification, lists, fetching)
  return expected === undefined
    ? undefined
    : checkAgainst(expected, { name: 'f.tar', sha256, listed: 'must' })
}

test('the checksum of the file alone counts before the list of the directory', async () => {
  const other = 'c3'.repeat(32)
  const files = { 'f.tar.sha256': list, SHA256SUMS: `${other}  f.tar\n` }
  expect(await judge(files, { mode: 'checksum' })).toBe('listed')
  expect(await judge({ SHA256SUMS: list }, { mode: 'checksum' })).toBe('listed')
  expect(await judge({ 'f.tar.sha256': sha256 }, { mode: 'checksum' })).toBe('listed')
})

test('without verification nothing is fetched', async () => {
  expect(await judge({}, { mode: 'no' })).toBeUndefined()
})

test('a checksum of the user needs no list', async () => {
  expect(await judge({}, { mode: 'sha256', sha256 })).toBe('listed')
  await expect(judge({}, { mode: 'sha256', sha256: 'd4'.repeat(32) })).rejects.toMatchObject({
    code: 'CHECKSUM_MISMATCH',
  })
})

test.each([
  ['no list', {}, 'CHECKSUM_NOT_FOUND'],
  ['a list without the file', { SHA256SUMS: `${sha256}  g.tar\n` }, 'CHECKSUM_NOT_FOUND'],
  ['another checksum', { SHA256SUMS: `${'e5'.repeat(32)}  f.tar\n` }, 'CHECKSUM_MISMATCH'],
  ['a list that is too large', { SHA256SUMS: 'x'.repeat(2_000_000) }, 'TOO_LARGE'],
])('with %s the file is refused', async (_what, files, code) => {
  await expect(judge(files, { mode: 'checksum' })).rejects.toMatchObject({ code })
})

describe.skipIf(lacks('program:gpg', 'program:gpgv'))('signatures', () => {
  let directory: string
  let alice: GpgSigner
  let bob: GpgSigner
  let old: GpgSigner
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'expectation-'))
    alice = makeGpgSigner(directory, 'alice')
    bob = makeGpgSigner(directory, 'bob')
    old = makeGpgSigner(directory, 'old', 'expired')
  })
  afterAll(() => {
    for (const signer of [alice, bob, old]) signer[Symbol.dispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  const signed = (keyring: string): Verification => ({ mode: 'signature', keyring })

  test('of all the forms that servers use are taken', async () => {
    const all = [
      { SHA256SUMS: list, 'SHA256SUMS.gpg': alice.detach(list) },
      { SHA256SUMS: list, 'SHA256SUMS.gpg': alice.detach(list, { armoured: true }) },
      { SHA256SUMS: list, 'SHA256SUMS.asc': alice.detach(list, { armoured: true }) },
      { 'f.tar.sha256': list, 'f.tar.sha256.asc': alice.detach(list, { armoured: true }) },
      { 'f.tar.sha256': list, 'f.tar.sha256.gpg': alice.detach(list) },
      { 'f.tar.sha256': alice.clearsign(list) },
      { SHA256SUMS: alice.clearsign(list) },
    ]
    for (const files of all) expect(await judge(files, signed(alice.keyring))).toBe('listed')
  })

  test('keyrings may be armoured, or a keybox', async () => {
    const files = { SHA256SUMS: list, 'SHA256SUMS.gpg': alice.detach(list) }
    expect(await judge(files, signed(alice.armouredKeyring))).toBe('listed')
    expect(await judge(files, signed(alice.keybox))).toBe('listed')
  })

  test.each([
    ['no signature', () => ({ SHA256SUMS: list }), 'SIGNATURE_NOT_FOUND'],
    [
      'a signature of something else',
      () => ({ SHA256SUMS: list, 'SHA256SUMS.gpg': alice.detach('something else') }),
      'SIGNATURE_INVALID',
    ],
    [
      'a signature by somebody else',
      () => ({ SHA256SUMS: list, 'SHA256SUMS.gpg': bob.detach(list) }),
      'SIGNATURE_INVALID',
    ],
    [
      'something that is no signature',
      () => ({ SHA256SUMS: list, 'SHA256SUMS.gpg': 'x'.repeat(200) }),
      'SIGNATURE_INVALID',
    ],
    [
      'a changed clear-signed list',
      () => ({ 'f.tar.sha256': alice.clearsign(list).replace(sha256, 'f6'.repeat(32)) }),
      'SIGNATURE_INVALID',
    ],
    [
      'something outside of what was signed',
      () => ({ 'f.tar.sha256': `${list}${alice.clearsign('x\n')}` }),
      'BAD_ARMOUR',
    ],
  ])('with %s the file is refused', async (_what, files, code) => {
    await expect(judge(files(), signed(alice.keyring))).rejects.toMatchObject({ code })
  })

  test.each(['gpgv', 'openpgp'] as const)(
    '%s refuses expired keys and signatures',
    async (checkedBy) => {
      const data = Buffer.from(list)
      const by = (path: string) => ({ path, checkedBy })
      const { keyring } = alice
      expect(await verifyDetached(data, alice.detach(list), by(keyring))).toMatchObject({
        state: 'valid',
      })
      for (const verdict of [
        await verifyDetached(data, old.detach(list), by(old.keyring)),
        await verifyDetached(data, alice.detach(list, { expired: true }), by(keyring)),
        await verifyDetached(data, alice.detach('other'), by(keyring)),
      ])
        expect(verdict.state).toBe('bad')
      expect((await verifyDetached(data, bob.detach(list), by(keyring))).state).toBe('unknown-key')
    },
  )

  test('a keyring that is not there is said to be missing', async () => {
    await expect(chooseKeyring('/nowhere.gpg')).rejects.toMatchObject({ code: 'KEYRING_NOT_FOUND' })
  })
})
