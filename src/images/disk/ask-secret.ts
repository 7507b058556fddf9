/** Asks the person at the terminal for a secret; what is typed is not shown. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { setTerminalSettings, terminalSettings, withoutEcho } from '../../sys/termios.ts'

/** @returns undefined where there is no terminal, or the person ended the input */
export function askSecret(question: string): string | undefined {
  let terminal: number
  try {
    terminal = openSync('/dev/tty', 'r+')
  } catch {
    return undefined
  }
  const before = terminalSettings(terminal)
  try {
    setTerminalSettings(terminal, withoutEcho(before))
    writeSync(terminal, `${question} `)
    const line = readLine(terminal)
    writeSync(terminal, '\n')
    return line
  } finally {
    setTerminalSettings(terminal, before)
    closeSync(terminal)
  }
}

function readLine(fd: number): string | undefined {
  const bytes: number[] = []
  const one = Buffer.alloc(1)
  while (readSync(fd, one, 0, 1, null) === 1) {
    if (one[0] === 0x0a) return Buffer.from(bytes).toString('utf8')
    bytes.push(one[0] as number)
  }
  return undefined
}
