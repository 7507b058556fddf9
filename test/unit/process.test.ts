import { openSync, closeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startDetached } from '../../src/process.ts'

let log = -1
beforeAll(() => void (log = openSync('/dev/null', 'w')))
afterAll(() => closeSync(log))

test('a program that is left to itself tells how it ended, for as long as somebody asks', async () => {
  const { pid, ended } = await startDetached('cannot run it', ['/bin/sh', '-c', 'exit 3'], {
    log,
    env: {},
  })
  expect(pid).toBeGreaterThan(1)
  expect(await ended).toBe('exit status 3')
})

test('a program that cannot be started says why it could not', async () => {
  const options = { log, env: {} }
  const plain = fileURLToPath(import.meta.url)
  await expect(startDetached('cannot run it', [plain], options)).rejects.toMatchObject({
    message: 'cannot run it',
    code: 'EACCES',
    operation: plain,
  })
  await expect(startDetached('cannot run it', ['/nowhere'], options)).rejects.toMatchObject({
    code: 'ENOENT',
  })
})
