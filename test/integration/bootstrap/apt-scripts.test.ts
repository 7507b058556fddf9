/** What mmdebstrap makes of a package whose script fails. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { NspawnError } from '../../../src/errors.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyArchives } from '../../fixtures/tiny-archives.ts'

test.skipIf(lacks('root', 'program:dpkg-deb', 'program:mmdebstrap'))(
  'a package whose postinst fails is named where mmdebstrap makes the tree, and none is made',
  { timeout: 120_000 },
  async () => {
    await using tiny = await tinyArchives()
    await using dir = await temporaryDirectory()
    const extra = {
      name: 'extra',
      // apt, which would install others, is not in so small a tree.
      fields: { Essential: 'yes', Priority: 'required' },
      scripts: { postinst: ['echo "no luck today" >&2', 'exit 42'] },
    }
    const made = { via: 'mmdebstrap', variant: 'essential', archive: { forApt: true } }
    const error = (await tiny
      .create(dir.path, [extra], made)
      .catch((reason: unknown) => reason)) as NspawnError
    expect(error.code).toBe('BOOTSTRAP_SCRIPT')
    expect(error.message).toMatch(/extra .*post-installation script.* error exit status 42/)
    expect(readFileSync(error.log!, 'utf8')).toContain('no luck today')
    expect(readdirSync(dir.path)).toEqual([])
  },
)
