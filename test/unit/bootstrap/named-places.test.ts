import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { placesBelowTemporary } from '../../../src/bootstrap/named-places.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

test('only what lies below /tmp and /var/tmp is named, once, and by its real path too', async () => {
  await using dir = await temporaryDirectory()
  const at = (name: string) => join(dir.path, name)
  await mkdir(at('stage/tree'), { recursive: true })
  await mkdir(at('mirror'))
  await writeFile(at('mirror/key'), '')
  await symlink('stage', at('link'))
  expect(
    placesBelowTemporary({
      written: [at('stage/tree'), at('link/tree')],
      read: [at('mirror/key'), at('mirror'), '/usr/share'],
    }).toSorted(),
  ).toEqual([at('link/tree'), at('mirror'), at('stage/tree')])
  expect(placesBelowTemporary({ written: [at('stage/tree')], read: ['/var/tmp'] })).toEqual([
    '/var/tmp',
  ])
})
