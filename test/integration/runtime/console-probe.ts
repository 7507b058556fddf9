/**
 * A program for the tests of the console: a supervisor that does nothing but run a command on a
 * pseudoterminal and forward its console. Arguments: mode, `quiet` or `loud`, a file for the requests
 * that came in, the command.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { ConsoleForwarder, type ConsolePlan } from '../../../src/runtime/console.ts'
import { close, poll } from '../../../src/sys/fd.ts'
import { openPty, openPtyPeer } from '../../../src/sys/pty.ts'

const [mode, noise, file, command, ...args] = process.argv.slice(2) as [
  ConsolePlan['console'],
  'quiet' | 'loud',
  string,
  string,
  ...string[],
]
const pty = openPty('/dev/pts')
const peer = openPtyPeer(pty, '/dev/pts')
const terminal = new ConsoleForwarder(pty.master, {
  console: mode,
  quiet: noise === 'quiet',
  background: process.env['PROBE_BACKGROUND'],
})
const payload = spawn(command, args, { stdio: [peer, peer, peer] })
close(peer)
process.on('SIGWINCH', () => terminal.copyWindowSize())
const requests: unknown[] = []
while (payload.exitCode === null && payload.signalCode === null) {
  const entries = terminal.pollEntries()
  const events = poll(entries, 10)
  for (const [i, { fd }] of entries.entries()) terminal.onEvents(fd, events[i] as number)
  for (let request = terminal.takeRequest(); request !== undefined;) {
    requests.push(request)
    if (request === 'kill') payload.kill('SIGKILL')
    request = terminal.takeRequest()
  }
  await turn()
}
terminal.drain()
terminal.restore()
writeFileSync(file, JSON.stringify(requests))
