import { openSync, closeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LogEvent } from '../../src/log.ts'
import { describeError } from '../../src/errors.ts'
import { runProgram, startDetached } from '../../src/process.ts'

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

test('a program that fails tells its command line and last words, and no password of a URL', async () => {
  const events: LogEvent[] = []
  const script = 'echo from $0 >&2; exit 4'
  const argv = ['sh', '-c', script, 'https://me:secret@h/debian'] as const
  const failure = await runProgram('cannot fetch', argv, {
    log: (event) => events.push(event),
  }).catch((error: unknown) => error)
  expect(describeError(failure)).toContain('cannot fetch: from https://h/debian')
  expect(describeError(failure)).toContain(`${script} https://h/debian: exit status 4`)
  expect(events).toEqual([{ kind: 'output', stream: 'stderr', line: 'from https://h/debian' }])
})
