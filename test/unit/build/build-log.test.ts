import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { BuildLog } from '../../../src/build/build-log.ts'

const directory = mkdtempSync(join(tmpdir(), 'build-log-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('a log that has grown too large says so once, and goes on with banners and notes', () => {
  const path = join(directory, 'build.log')
  using log = new BuildLog(path, 20)
  log.line('123456789')
  log.line('more than what is left')
  log.line('x')
  log.note('exit status 0')
  expect(readFileSync(path, 'utf8')).toBe(
    '123456789\n-- the log has grown too large: lines are left out from here\n-- exit status 0\n',
  )
  expect(log.lastLines(1)).toEqual(['x'])
})
