/**
 * A program for the tests of the console: keys come from one terminal, output goes to another that cannot be written to
 * any more when both are given back. Prints what `restore()` threw, and whether each terminal is as it was.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { ConsoleForwarder } from '../../../src/runtime/console.ts'
import { close, duplicateTo } from '../../../src/sys/fd.ts'
import { openPty, openPtyPeer } from '../../../src/sys/pty.ts'
import { terminalSettings } from '../../../src/sys/termios.ts'

const terminals = [0, 1].map((fd) => {
  const pty = openPty('/dev/pts')
  const peer = openPtyPeer(pty, '/dev/pts')
  duplicateTo(peer, fd)
  return { peer, before: stateOf(peer), path: readlinkSync(`/proc/self/fd/${peer}`) }
})

function stateOf(fd: number): string {
  return JSON.stringify(terminalSettings(fd))
}

const peers = new Set(terminals.map(({ peer }) => peer))
const plan = { console: 'interactive', quiet: false, background: '44' } as const
const forwarder = new ConsoleForwarder(openPty('/dev/pts').master, plan)
for (const name of readdirSync('/proc/self/fd')) {
  const fd = Number(name)
  if (fd > 2 && !peers.has(fd) && linkOf(fd) === terminals[1]?.path) close(fd)
}

function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined
  }
}

let thrown = ''
try {
  forwarder.restore()
} catch (error) {
  thrown = (error as Error).message
}
const restored = terminals.map(({ peer, before }) => stateOf(peer) === before)
process.stderr.write(JSON.stringify({ thrown, restored }))
