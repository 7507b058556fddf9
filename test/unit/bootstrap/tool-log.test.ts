import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { treeLogPath } from '../../../src/bootstrap/manifest.ts'
import { ToolLog } from '../../../src/bootstrap/tool-log.ts'
import { NspawnError } from '../../../src/errors.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const context = { machinesDirectory: '/m', stateDirectory: '/s', log: () => undefined }

test('what goes elsewhere under the name of a tree has a log of its own', () => {
  const path = (tree: string) => treeLogPath(context, 'create', tree, 'web')
  expect(path('/m/web')).toBe('/s/logs/create-web.log')
  const others = ['/m/web.raw', '/root/web.tar', '/srv/web.tar'].map(path)
  expect(new Set([path('/m/web'), ...others]).size).toBe(4)
  for (const other of others) expect(other).toMatch(/^\/s\/logs\/create-web@[0-9a-f]{8}\.log$/)
})

test('the log of the time before is kept', () => {
  const path = join(directory, 'logs/a.log')
  for (const line of ['first', 'second']) {
    const log = new ToolLog(path)
    log.add(line)
    log.close()
  }
  expect(readFileSync(path, 'utf8')).toBe('second\n')
  expect(readFileSync(`${path}.old`, 'utf8')).toBe('first\n')
})

test('a failure names the log, which ends with it; one that names a log keeps that, and an empty log is not named', () => {
  const log = new ToolLog(join(directory, 'b.log'))
  const bare = new NspawnError('cannot do it', { code: 'X', hint: 'try' })
  expect(log.failure(bare)).toBe(bare)
  log.add('what a tool said')
  expect(log.failure(bare)).toMatchObject({ message: 'cannot do it', hint: 'try', log: log.path })
  expect(readFileSync(log.path, 'utf8')).toContain('E: cannot do it')
  const told = new NspawnError('cannot', { code: 'Y', log: '/other' })
  expect(log.failure(told)).toBe(told)
  log.close()
})
