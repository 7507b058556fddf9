import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { expect, test } from 'vitest'
import type { RpmArchive } from '../../../../src/bootstrap/archives/rpm.ts'
import type { TreePlan } from '../../../../src/bootstrap/plan.ts'
import { rpmKeyObstacle, writeRpmKeys } from '../../../../src/bootstrap/rpm/keys.ts'
import { makeSigner } from '../../../fixtures/signing.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

const keys = [{ file: 'fedora/RPM-GPG-KEY-fedora-43-primary' }]

function plan(archive: Partial<RpmArchive>, signatures: 'required' | 'ignored' = 'required') {
  return { archive: { keyring: undefined, keys, ...archive }, signatures } as TreePlan<RpmArchive>
}

const nothing = { hasFile: () => false }

test('without a key of the distribution a tree is not begun, and the way out is told', () => {
  const obstacle = rpmKeyObstacle(plan({}), nothing)
  expect(obstacle?.reason).toContain('RPM-GPG-KEY-fedora-43-primary')
  expect(obstacle?.hint).toContain('--keyring')
  expect(rpmKeyObstacle(plan({ keyring: '/my.asc' }), nothing)?.reason).toContain('/my.asc')
  expect(rpmKeyObstacle(plan({}, 'ignored'), nothing)).toBeUndefined()
})

test.each([
  '/usr/share/distribution-gpg-keys/fedora/RPM-GPG-KEY-fedora-43-primary',
  '/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43-primary',
])('a key at %s will do', (there) => {
  expect(rpmKeyObstacle(plan({}), { hasFile: (path) => path === there })).toBeUndefined()
})

test('binary keys become armoured files, one each, as rpm wants them', async () => {
  await using directory = await temporaryDirectory()
  const { keyring, keyId } = await makeSigner(directory.path, 'somebody')
  const [file, ...others] = await writeRpmKeys(plan({ keyring }), nothing, directory.path)
  expect(others).toEqual([])
  expect(basename(file!)).toBe(`${keyId.toLowerCase()}.asc`)
  expect(readFileSync(file!, 'utf8')).toMatch(/^-----BEGIN PGP PUBLIC KEY BLOCK-----/)
  expect(await writeRpmKeys(plan({ keyring }, 'ignored'), nothing, directory.path)).toEqual([])
})

test('a key that has expired is refused', async () => {
  await using directory = await temporaryDirectory()
  const { keyring } = await makeSigner(directory.path, 'late', 1)
  await expect(writeRpmKeys(plan({ keyring }), nothing, directory.path)).rejects.toMatchObject({
    code: 'BOOTSTRAP_SIGNATURE',
    message: expect.stringContaining('has expired'),
  })
})

test('of many keys in a file only those of the user are taken', async () => {
  const ring = '/usr/lib/systemd/import-pubring.gpg'
  const user = 'fedora-43-primary@fedoraproject.org'
  const wanted = plan({ keys: [{ ...keys[0]!, user }] })
  const host = { hasFile: (path: string) => path === ring }
  // A host without systemd's keyring has no such file to find a key in.
  if (rpmKeyObstacle(wanted, host) !== undefined) return
  await using directory = await temporaryDirectory()
  const files = await writeRpmKeys(wanted, host, directory.path)
  expect(files.map((file) => basename(file))).toEqual(['829b606631645531.asc'])
  const other = plan({ keys: [{ ...keys[0]!, user: 'fedora-999@fedoraproject.org' }] })
  expect(rpmKeyObstacle(other, host)?.reason).toContain('no key of the distribution')
})
