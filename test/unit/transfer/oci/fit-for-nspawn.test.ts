/** A tree out of layers is a stranger's: looking for the user in it sets nothing off. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LogEvent } from '../../../../src/log.ts'
import { makeFitForNspawn } from '../../../../src/transfer/oci/fit-for-nspawn.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

const execution = {
  user: 'somebody',
  environment: [],
  entrypoint: [],
  command: [],
  workingDirectory: '/',
  stopSignal: undefined,
  ports: [],
}

function warnings(tree: string): number {
  const events: LogEvent[] = []
  makeFitForNspawn(tree, execution, (event) => void events.push(event))
  return events.length
}

test('a user that the passwd file lacks is a warning', async () => {
  await using tree = await temporaryDirectory()
  expect(warnings(tree.path)).toBe(1)
  mkdirSync(join(tree.path, 'etc'))
  writeFileSync(join(tree.path, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n')
  expect(warnings(tree.path)).toBe(1)
  writeFileSync(join(tree.path, 'etc/passwd'), 'somebody:x:7:7::/:/bin/sh\n')
  expect(warnings(tree.path)).toBe(0)
})

test('what is no regular file is not even opened', async () => {
  await using tree = await temporaryDirectory()
  mkdirSync(join(tree.path, 'etc'))
  const fifo = join(tree.path, 'etc/passwd')
  execFileSync('mkfifo', [fifo])
  // Goes on as soon as somebody opens the other end.
  const writer = spawn('sh', ['-c', 'echo ready; : > "$1"; echo opened', 'sh', fifo])
  try {
    await once(writer.stdout, 'data')
    let said = ''
    writer.stdout.on('data', (text: Buffer) => (said += text.toString()))
    await sleep(50)
    expect(warnings(tree.path)).toBe(0)
    await sleep(100)
    expect(said).toBe('')
  } finally {
    writer.kill('SIGKILL')
  }
})
