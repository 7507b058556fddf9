/**
 * A program for the tests of terminals. `size` writes the window size of stdin to a file whenever it
 * changes; `raw` runs stty before, while and after stdin is raw; `session` makes a pseudoterminal the
 * controlling terminal.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { close, open } from '../../../src/sys/fd.ts'
import { makeControllingTerminal, openPty, openPtyPeer } from '../../../src/sys/pty.ts'
import {
  isTerminal,
  rawSettings,
  setTerminalSettings,
  terminalSettings,
  windowSize,
} from '../../../src/sys/termios.ts'

function stty(): string {
  return execFileSync('stty', ['-g'], { stdio: ['inherit', 'pipe', 'inherit'], encoding: 'utf8' })
}

/** Whether the session has a controlling terminal. */
function hasTerminal(): boolean {
  try {
    close(open('/dev/tty', 0))
    return true
  } catch {
    return false
  }
}

const [what, file = ''] = process.argv.slice(2)
if (what === 'size') {
  const report = (): void => writeFileSync(file, JSON.stringify(windowSize(0)))
  process.on('SIGWINCH', report)
  report()
  setTimeout(() => {}, 30_000)
} else if (what === 'raw') {
  const before = stty()
  const settings = terminalSettings(0)
  setTerminalSettings(0, rawSettings(settings))
  const during = stty()
  const all = execFileSync('stty', ['-a'], { stdio: ['inherit', 'pipe', 'inherit'] })
  setTerminalSettings(0, settings)
  const report = { before, during, after: stty(), all: all.toString(), isTerminal: isTerminal(0) }
  writeFileSync(file, JSON.stringify(report))
} else {
  const without = hasTerminal()
  makeControllingTerminal(openPtyPeer(openPty('/dev/pts'), '/dev/pts'))
  writeFileSync(file, JSON.stringify({ without, with: hasTerminal() }))
}
