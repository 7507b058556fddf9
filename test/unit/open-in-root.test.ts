import { execa } from 'execa'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { close, open, O_DIRECTORY, O_PATH } from '../../src/sys/fd.ts'
import { openInRoot } from '../../src/sys/openat2.ts'

test('a path with `..` is found, however much is renamed elsewhere', async () => {
  const place = mkdtempSync(join(tmpdir(), 'open-in-root-'))
  mkdirSync(join(place, 'root/a/b'), { recursive: true })
  symlinkSync('../../a/b/../b', join(place, 'root/a/link'))
  writeFileSync(join(place, 'root/a/b/file'), '')
  const renaming = `
    const { renameSync, writeFileSync } = require('node:fs')
    writeFileSync('x', '')
    console.log('begun')
    for (;;) { renameSync('x', 'y'); renameSync('y', 'x') }`
  const renamer = execa('node', ['-e', renaming], { cwd: place, reject: false })
  const root = open(join(place, 'root'), O_PATH | O_DIRECTORY)
  try {
    await once(renamer.stdout, 'data')
    for (let times = 0; times < 20_000; times++) close(openInRoot(root, 'a/link/../b/file'))
    expect(renamer.exitCode).toBeNull()
  } finally {
    close(root)
    renamer.kill('SIGKILL')
    await renamer
    rmSync(place, { recursive: true })
  }
})
