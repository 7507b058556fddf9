/** Machines as a program of the library's user sees them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Machine } from '../../../src/machines/machine.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { startMachine, type BackgroundMachine } from './running-machine.ts'

let background: BackgroundMachine
let machine: Machine
let room: TemporaryDirectory

beforeAll(async () => {
  room = await temporaryDirectory()
  background = await startMachine(['sleep', '1000'], ['-a'])
  machine = Machine.get(background.name)
})

afterAll(async () => {
  await background[Symbol.asyncDispose]()
  await room[Symbol.asyncDispose]()
})

it('is among those that run', () => {
  expect(Machine.list().map(({ name }) => name)).toContain(background.name)
  expect(machine.isRunning()).toBe(true)
  expect(machine.record.os?.id).toBe('debian')
})

it('is not found when it does not run', () => {
  expect(() => Machine.get('no-such-machine')).toThrow(/no machine no-such-machine is running/)
})

it('runs commands, and tells their output and status', async () => {
  const done = await machine.run(['sh', '-c', 'echo "$GREETING"; id -un; echo oops >&2; exit 3'], {
    user: 'games',
    environment: { GREETING: 'hello there' },
  })
  expect(done).toEqual({ status: 3, stdout: 'hello there\ngames', stderr: 'oops' })
})

it('takes files and gives them back', async () => {
  const [file, back] = [join(room.path, 'file'), join(room.path, 'back')]
  writeFileSync(file, 'content')
  await machine.copyTo(file, '/root/copy')
  expect((await machine.run(['cat', '/root/copy'])).stdout).toBe('content')
  await machine.copyFrom('/root/copy', back)
  expect(readFileSync(back, 'utf8')).toBe('content')
})

it('shows directories of the host', async () => {
  const shared = join(room.path, 'shared')
  mkdirSync(shared)
  writeFileSync(join(shared, 'file'), 'shared')
  await machine.bind(shared, '/mnt/shared', 'read-only')
  expect((await machine.run(['cat', '/mnt/shared/file'])).stdout).toBe('shared')
  expect((await machine.run(['touch', '/mnt/shared/new'])).status).not.toBe(0)
})

it('ends when asked to, and says so', async () => {
  machine.powerOff()
  await machine.ended(AbortSignal.timeout(20_000))
  expect(machine.isRunning()).toBe(false)
  expect((await background.supervisor).exitCode).toBe(0)
})
