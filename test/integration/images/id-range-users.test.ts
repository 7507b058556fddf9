/** In a process of its own, whose main thread leaves the host's mount namespace. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { hashedIdBase, pickIdRange } from '../../../src/images/id-range.ts'
import { CLONE_NEWNS, unshare } from '../../../src/sys/namespaces.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const unable = lacks('root')

/** The host's own files stay as they are for everybody else. */
beforeAll(() => {
  if (unable) return
  unshare(CLONE_NEWNS, 'cannot unshare the mount namespace')
  execFileSync('mount', ['--make-rprivate', '/'])
})

test.skipIf(unable).each([
  ['passwd', (base: number) => `someone:x:${base + 0xfffe}:100::/:/bin/sh`],
  ['group', (base: number) => `some:x:${base}:`],
])('a range that the host has in %s is not picked', async (file, line) => {
  await using directory = await temporaryDirectory()
  const machine = `test-${file}-${process.pid}`
  const changed = join(directory.path, file)
  writeFileSync(
    changed,
    `${readFileSync(`/etc/${file}`, 'utf8').trimEnd()}\n${line(hashedIdBase(machine))}\n`,
  )
  execFileSync('mount', ['--bind', '-o', 'ro', changed, `/etc/${file}`])
  try {
    const range = await pickIdRange(machine, 0)
    range.release()
    expect(range.base).not.toBe(hashedIdBase(machine))
  } finally {
    execFileSync('umount', [`/etc/${file}`])
  }
})
