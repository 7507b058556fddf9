import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { close, open, read, write } from '../../../src/sys/fd.ts'
import { openPty, openPtyPeer, type Pty } from '../../../src/sys/pty.ts'
import {
  isTerminal,
  rawSettings,
  setTerminalSettings,
  setWindowSize,
  terminalSettings,
  windowSize,
} from '../../../src/sys/termios.ts'
import { bundleProgram } from '../../fixtures/bundled-program.ts'
import { lacks } from '../../fixtures/requires.ts'

const probe = bundleProgram('integration/sys/terminal-probe')
afterAll(() => probe[Symbol.dispose]())
const report = join(probe.directory, 'report')

const opened: number[] = []
afterEach(() => opened.splice(0).forEach(close))

function newPty(devpts = '/dev/pts'): Pty & { peer: number } {
  const pty = openPty(devpts)
  opened.push(pty.master)
  const peer = openPtyPeer(pty, devpts)
  opened.push(peer)
  return { ...pty, peer }
}

function readText(fd: number): string {
  const buffer = Buffer.alloc(4096)
  return buffer.toString('latin1', 0, read(fd, buffer))
}

function readReport(): unknown {
  return JSON.parse(readFileSync(report, 'utf8'))
}

describe('a pseudoterminal', () => {
  test('joins two ends, the second of which is a terminal', () => {
    const { master, peer, number } = newPty()
    expect(readlinkSync(`/proc/self/fd/${peer}`)).toBe(`/dev/pts/${number}`)
    expect(isTerminal(peer)).toBe(true)
    write(peer, Buffer.from('out\n'))
    expect(readText(master)).toBe('out\r\n')
    write(master, Buffer.from('in\r'))
    expect(readText(peer)).toBe('in\n')
    expect(readText(master)).toBe('in\r\n')
  })

  test('passes every byte as it is once it is raw', () => {
    const { master, peer } = newPty()
    setTerminalSettings(peer, rawSettings(terminalSettings(peer)))
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    write(peer, all)
    expect(readText(master)).toBe(all.toString('latin1'))
    write(master, all)
    expect(readText(peer)).toBe(all.toString('latin1'))
  })

  test('can be raw on one side only', () => {
    const { master, peer } = newPty()
    const settings = terminalSettings(peer)
    setTerminalSettings(peer, rawSettings(settings, 'input'))
    write(peer, Buffer.from('out\n'))
    expect(readText(master)).toBe('out\r\n')
    write(master, Buffer.from('\x03'))
    expect(readText(peer)).toBe('\x03')

    setTerminalSettings(peer, rawSettings(settings, 'output'))
    write(peer, Buffer.from('out\n'))
    expect(readText(master)).toBe('out\n')
    write(master, Buffer.from('in\r'))
    expect(readText(peer)).toBe('in\n')
  })

  test('has the window size that it was given', () => {
    const { master, peer } = newPty()
    expect(windowSize(peer)).toEqual({ rows: 0, columns: 0, width: 0, height: 0 })
    const size = { rows: 33, columns: 300, width: 2400, height: 528 }
    setWindowSize(master, size)
    expect(windowSize(peer)).toEqual(size)
  })

  test.skipIf(lacks('root'))('can belong to another devpts than the one in /dev', () => {
    const directory = mkdtempSync(join(tmpdir(), 'devpts-'))
    execFileSync('mount', ['-t', 'devpts', '-o', 'newinstance,ptmxmode=666', 'devpts', directory])
    try {
      const [first, second] = [newPty(directory), newPty(directory)]
      expect([first.number, second.number]).toEqual([0, 1])
      expect(readlinkSync(`/proc/self/fd/${second.peer}`)).toBe(`${directory}/1`)
      write(second.peer, Buffer.from('x'))
      expect(readText(second.master)).toBe('x')
    } finally {
      opened.splice(0).forEach(close)
      execFileSync('umount', [directory])
      rmdirSync(directory)
    }
  })

  test('can become the controlling terminal of a new session', () => {
    const { command, env } = probe
    execFileSync('setsid', ['--wait', ...command, 'session', report], { env })
    expect(readReport()).toEqual({ without: false, with: true })
  })
})

test('what is no terminal has no settings, and the error says so', () => {
  const fd = open('/dev/null', 0)
  opened.push(fd)
  expect(isTerminal(fd)).toBe(false)
  expect(() => terminalSettings(fd)).toThrow(expect.objectContaining({ code: 'ENOTTY' }))
  expect(() => windowSize(fd)).toThrow(expect.objectContaining({ code: 'ENOTTY' }))
})

test.skipIf(lacks('program:script'))('stty agrees about a raw terminal, before and after', () => {
  const { command, env } = probe
  const line = [...command, 'raw', report].map((word) => `'${word}'`).join(' ')
  execFileSync('script', ['-qec', line, '/dev/null'], { env, stdio: ['pipe', 'ignore', 'inherit'] })
  const { before, during, after, all } = readReport() as Record<string, string>
  expect(after).toBe(before)
  expect(during).not.toBe(before)
  for (const word of ['-icanon', '-echo', '-isig', '-opost', '-icrnl', '-ixon', 'min = 1;']) {
    expect(all).toContain(word)
  }
})

test.skipIf(lacks('program:tmux'))('the size follows the window of a real terminal', async () => {
  const { command, env, directory } = probe
  const tmux = (...args: string[]) =>
    execFileSync('tmux', ['-S', join(directory, 'tmux'), '-f', '/dev/null', ...args], { env })
  const line = [...command, 'size', report].map((word) => `'${word}'`).join(' ')
  tmux('new-session', '-d', '-s', 'probe', '-x', '91', '-y', '33', `exec ${line}`)
  try {
    const sized = (columns: number) => () => expect(readReport()).toMatchObject({ columns })
    await vi.waitFor(sized(91), { timeout: 10_000 })
    tmux('resize-window', '-t', 'probe', '-x', '70', '-y', '20')
    await vi.waitFor(sized(70), { timeout: 10_000 })
    expect(readReport()).toMatchObject({ rows: 20 })
  } finally {
    tmux('kill-server')
  }
})
