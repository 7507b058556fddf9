/**
 * Terminals: their line settings and their size. <termios.h>, ioctl_tty(2). Synchronous foreign calls
 * only, so that a forked child can use it.
 */
import { lazyFunction } from './lazy-function.ts'
import { fail } from './libc.ts'

const TIOCGWINSZ = 0x5413
const TIOCSWINSZ = 0x5414
const TCSANOW = 0
const ECHO = 0o10

/** `struct termios` of glibc and musl: four flag words, the line discipline, 32 control characters, speeds. */
const TERMIOS_BYTES = 60
const [IFLAG, OFLAG, LFLAG] = [0, 4, 12]

const nativeIsatty = lazyFunction('int isatty(int fd)')
const nativeTcgetattr = lazyFunction('int tcgetattr(int fd, _Out_ uint8_t *termios)')
const nativeTcsetattr = lazyFunction('int tcsetattr(int fd, int actions, const uint8_t *termios)')
const nativeCfmakeraw = lazyFunction('void cfmakeraw(_Inout_ uint8_t *termios)')
const ioctl = lazyFunction('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)')

/** isatty(3): anything else than a terminal, a closed descriptor included, is none. */
export function isTerminal(fd: number): boolean {
  return nativeIsatty(fd) === 1
}

/** A terminal's settings, as the C library has them. */
export type TerminalSettings = Buffer

/** tcgetattr(3). @throws NspawnError, `ENOTTY` when `fd` is no terminal */
export function terminalSettings(fd: number): TerminalSettings {
  const settings = Buffer.alloc(TERMIOS_BYTES)
  if (nativeTcgetattr(fd, settings) < 0)
    fail('tcgetattr', { step: 'cannot read terminal settings' })
  return settings
}

/**
 * tcsetattr(3), at once. A background process that does this to its terminal is stopped by SIGTTOU,
 * unless it ignores or blocks that signal.
 */
export function setTerminalSettings(fd: number, settings: TerminalSettings): void {
  if (nativeTcsetattr(fd, TCSANOW, settings) < 0) {
    fail('tcsetattr', { step: 'cannot change terminal settings' })
  }
}

/**
 * Settings with which bytes pass a terminal untouched: no echo, no signals, no line editing, no
 * translation (cfmakeraw(3)).
 *
 * @param side which half to change; when input and output are two terminals, each keeps the half that
 *   is not used
 */
export function rawSettings(
  settings: TerminalSettings,
  side: 'both' | 'input' | 'output' = 'both',
): TerminalSettings {
  const raw = Buffer.from(settings)
  nativeCfmakeraw(raw)
  if (side === 'input') settings.copy(raw, OFLAG, OFLAG, OFLAG + 4)
  if (side === 'output') {
    settings.copy(raw, IFLAG, IFLAG, IFLAG + 4)
    settings.copy(raw, LFLAG, LFLAG, LFLAG + 4)
  }
  return raw
}

/** Settings with which lines are edited as before, and not shown. */
export function withoutEcho(settings: TerminalSettings): TerminalSettings {
  const silent = Buffer.from(settings)
  silent.writeUInt32LE((silent.readUInt32LE(LFLAG) & ~ECHO) >>> 0, LFLAG)
  return silent
}

export interface WindowSize {
  readonly rows: number
  readonly columns: number
  /** In pixels; 0 where the terminal does not say. */
  readonly width: number
  readonly height: number
}

/** ioctl_tty(2), TIOCGWINSZ. All zero where nobody has said. @throws NspawnError, `ENOTTY` */
export function windowSize(fd: number): WindowSize {
  const size = Buffer.alloc(8)
  if (ioctl(fd, TIOCGWINSZ, size) < 0) fail('ioctl TIOCGWINSZ', { step: 'cannot read window size' })
  const [rows, columns, width, height] = [0, 2, 4, 6].map((at) => size.readUInt16LE(at)) as [
    number,
    number,
    number,
    number,
  ]
  return { rows, columns, width, height }
}

/** ioctl_tty(2), TIOCSWINSZ: the foreground job gets SIGWINCH when this changes anything. */
export function setWindowSize(fd: number, { rows, columns, width, height }: WindowSize): void {
  const size = Buffer.alloc(8)
  for (const [i, value] of [rows, columns, width, height].entries())
    size.writeUInt16LE(value, 2 * i)
  if (ioctl(fd, TIOCSWINSZ, size) < 0) fail('ioctl TIOCSWINSZ', { step: 'cannot set window size' })
}
