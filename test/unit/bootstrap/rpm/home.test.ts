import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RpmArchive } from '../../../../src/bootstrap/archives/rpm.ts'
import type { TreePlan } from '../../../../src/bootstrap/plan.ts'
import { makeRpmHome } from '../../../../src/bootstrap/rpm/home.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

async function macros(plan: Partial<TreePlan<RpmArchive>>): Promise<string[]> {
  await using directory = await temporaryDirectory()
  const home = join(directory.path, 'home')
  const archive = { database: { path: '/usr/lib/sysimage/rpm', format: 'ndb' } }
  const whole = { archive, purpose: 'command', signatures: 'required', ...plan }
  expect(makeRpmHome(home, whole as TreePlan<RpmArchive>, 'sqlite')).toEqual({
    HOME: home,
    RPM_FORCE_DEBIAN: '1',
  })
  return readFileSync(join(home, '.rpmmacros'), 'utf8').trim().split('\n')
}

test('the database goes to where the tree looks for it, in the format that the tool writes', async () => {
  const lines = await macros({})
  expect(lines).toContain('%_dbpath /usr/lib/sysimage/rpm')
  expect(lines).toContain('%_db_backend sqlite')
})

test('only trees for commands do without other languages', async () => {
  expect(await macros({})).toContain('%_install_langs C:en')
  expect((await macros({ purpose: 'boot' })).join()).not.toContain('_install_langs')
})

test('what is unsigned is let in only where nobody is to check', async () => {
  expect((await macros({})).join()).not.toContain('_pkgverify_level')
  expect(await macros({ signatures: 'ignored' })).toContain('%_pkgverify_level digest')
})
