/**
 * The console of a container, as its user sees it: what is typed goes to the pseudoterminal, what comes out
 * of it goes to stdout, for as long as the container runs. File names after systemd's ptyfwd.c.
 *
 * Made for a poll(2) loop: `pollEntries()` before, `onEvents()` after. Nothing here waits but `drain()`.
 */
import { fstatSync } from 'node:fs'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import {
  close,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  open,
  poll,
  POLLIN,
  POLLOUT,
  setNonBlocking,
  write,
  type PollEntry,
} from '../sys/fd.ts'
import { SIGRTMIN } from '../sys/process.ts'
import {
  isTerminal,
  rawSettings,
  setTerminalSettings,
  setWindowSize,
  terminalSettings,
  windowSize,
} from '../sys/termios.ts'
import { BackgroundPainter } from './background-painter.ts'
import { ByteForwarder } from './byte-forwarder.ts'
import { EscapeDetector, type EscapeAction } from './escape-detector.ts'

export interface ConsolePlan {
  /** `read-only` and `passive` show output and take no input; `pipe` has no pseudoterminal at all. */
  readonly console: 'interactive' | 'read-only' | 'passive' | 'pipe'
  /** It has this size, whatever the caller's terminal has. */
  readonly consoleSize?: { readonly rows: number; readonly columns: number }
  /** Without it, a newline is added when the last output did not end a line. */
  readonly quiet: boolean
  /** Background of the user's terminal meanwhile, as parameters of SGR; undefined leaves it. */
  readonly background?: string | undefined
}

/** What the user wants of the supervisor: the container ended, or this signal sent to its leader. */
export type ConsoleRequest = 'kill' | number

/** What systemd as PID 1 and our stub init understand. */
const REQUESTS: Readonly<Record<EscapeAction, ConsoleRequest>> = {
  kill: 'kill',
  reboot: SIGRTMIN + 5,
  'power-off': SIGRTMIN + 4,
}

/** How often to look whether someone has opened the console again after everyone had closed it. */
const REOPEN_MS = 50
const NEWLINE = 0x0a
const DEFAULT_SIZE = { rows: 24, columns: 80, width: 0, height: 0 }

/** Owns the master and the terminal's state from construction until `restore()`. */
export class ConsoleForwarder {
  readonly #plan: ConsolePlan
  readonly #master: number
  readonly #input: number | undefined
  readonly #output: number | undefined
  readonly #typed: ByteForwarder | undefined
  readonly #shown: ByteForwarder | undefined
  readonly #requests: ConsoleRequest[] = []
  readonly #escapes = new EscapeDetector()
  /** What `restore()` does, whatever of it fails. */
  readonly #cleanup = new CleanupStack()
  readonly #raw = new Set<number>()
  /** Set while nobody has the console open: when to look again. */
  #reopenAt: number | undefined
  readonly #painter: BackgroundPainter | undefined
  #released = false

  /** @param master of the container's console; becomes non-blocking, and is closed by `restore()` */
  constructor(master: number, plan: ConsolePlan) {
    this.#master = master
    this.#plan = plan
    this.#cleanup.defer('console of the container', () => close(master))
    if (plan.console === 'pipe') return
    setNonBlocking(master)
    this.#output = this.#own(1, O_WRONLY)
    const paints = plan.console === 'interactive' && isTerminal(this.#output)
    this.#painter =
      plan.background === undefined || !paints ? undefined : new BackgroundPainter(plan.background)
    const painter = this.#painter
    this.#shown = new ByteForwarder({
      from: master,
      to: this.#output,
      ...(painter !== undefined && {
        inspect: (output) => painter.paint(output),
        growth: BackgroundPainter.GROWTH,
      }),
    })
    if (plan.console === 'interactive') {
      this.#input = this.#own(0, O_RDONLY)
      const inspect = (input: Uint8Array) => this.#inspect(input)
      this.#typed = new ByteForwarder({ from: this.#input, to: master, inspect })
      this.#makeRaw()
      if (painter !== undefined) this.#paint(painter, this.#output)
    }
    this.copyWindowSize()
  }

  /** What to wait for; a descriptor with nothing to wait for is left out, as poll would report its hang-up. */
  pollEntries(): PollEntry[] {
    const [typed, shown] = [this.#typed, this.#shown]
    if (shown === undefined || this.#released) return []
    if (this.#reopenAt !== undefined && performance.now() >= this.#reopenAt) {
      this.#reopenAt = undefined
      shown.reopen()
    }
    const entries: PollEntry[] = []
    const add = (fd: number | undefined, events: number): void => {
      if (fd !== undefined && events !== 0) entries.push({ fd, events })
    }
    const present = this.#reopenAt === undefined
    const toMaster = present && typed?.wantsOutput === true ? POLLOUT : 0
    add(this.#master, (present && shown.wantsInput ? POLLIN : 0) | toMaster)
    add(this.#output, shown.wantsOutput ? POLLOUT : 0)
    add(this.#input, typed?.wantsInput === true ? POLLIN : 0)
    return entries
  }

  /** How long a poll may last: -1 for ever. */
  timeoutMs(): number {
    if (this.#reopenAt === undefined) return -1
    return Math.max(1, Math.ceil(this.#reopenAt - performance.now()))
  }

  /** Moves bytes after poll(2) found something about one of `pollEntries()`. */
  onEvents(fd: number, events: number): void {
    if (events === 0 || this.#released) return
    if (fd === this.#master) {
      this.#toMaster()
      this.#fromMaster()
    } else if (fd === this.#output) this.#toOutput()
    else if (fd === this.#input) {
      this.#typed?.readSome()
      this.#toMaster()
    }
  }

  /** Gives the container's terminal the size that is planned, else of the user's; without one, $LINES and $COLUMNS, else 24 by 80. */
  copyWindowSize(): void {
    if (this.#output === undefined || this.#released) return
    if (this.#plan.consoleSize !== undefined) return
    const { rows, columns, width, height } = isTerminal(this.#output)
      ? windowSize(this.#output)
      : sizeOfEnvironment()
    setWindowSize(this.#master, { rows, columns, width, height })
  }

  /** The oldest request not yet taken. */
  takeRequest(): ConsoleRequest | undefined {
    return this.#requests.shift()
  }

  /**
   * Shows what the container has written before it ended, and ends the last line. Waits for whoever reads
   * our stdout, as long as it takes.
   */
  drain(): void {
    const shown = this.#shown
    if (shown === undefined || this.#output === undefined || this.#released) return
    shown.reopen()
    try {
      for (;;) {
        const moved = shown.readSome() + shown.writeSome()
        if (moved > 0) continue
        if (!shown.wantsOutput) break
        poll([{ fd: this.#output, events: POLLOUT }], -1)
      }
      if (!this.#plan.quiet && (this.#painter ?? shown).lastByte !== NEWLINE) {
        write(this.#output, Buffer.from(this.#raw.has(this.#output) ? '\r\n' : '\n'))
      }
    } catch (error) {
      // Nobody reads it any more.
      if (!isGone(error)) throw error
    }
  }

  /** Puts the user's terminal back and lets go of everything. May be called twice. */
  restore(): void {
    if (this.#released) return
    this.#released = true
    this.#cleanup.releaseAllNow()
  }

  #own(fd: 0 | 1, access: number): number {
    const own = ownCopy(fd, access)
    if (own > 2) this.#cleanup.defer(`copy of descriptor ${fd}`, () => close(own))
    return own
  }

  #paint(painter: BackgroundPainter, output: number): void {
    write(output, painter.begin())
    this.#cleanup.defer('background of the terminal', () =>
      unlessGone(() => write(output, painter.end())),
    )
  }

  #inspect(input: Uint8Array): readonly Uint8Array[] {
    const { passed, actions } = this.#escapes.scan(input, performance.now())
    for (const action of actions) this.#requests.push(REQUESTS[action])
    // Typed in one go, none of the keys were meant for the payload.
    return actions.includes('kill') ? [] : passed
  }

  #fromMaster(): void {
    const shown = this.#shown as ByteForwarder
    shown.readSome()
    if (shown.ended) this.#reopenAt = performance.now() + REOPEN_MS
    this.#toOutput()
  }

  #toOutput(): void {
    try {
      this.#shown?.writeSome()
    } catch (error) {
      if (!isGone(error)) throw error
      // Without a reader the container would soon wait for ever.
      this.#requests.push('kill')
    }
  }

  #toMaster(): void {
    try {
      this.#typed?.writeSome()
    } catch (error) {
      // Everyone has closed the console; what was typed waits until it is opened again.
      if (!isGone(error)) throw error
      this.#reopenAt ??= performance.now() + REOPEN_MS
    }
  }

  /** Raw, so that all keys reach the container: one terminal for both, or each half of two. */
  #makeRaw(): void {
    const [input, output] = [this.#input as number, this.#output as number]
    const [isInput, isOutput] = [isTerminal(input), isTerminal(output)]
    const same = isInput && isOutput && sameFile(input, output)
    if (isInput && !same) this.#change(input, 'input')
    if (isOutput) this.#change(output, same ? 'both' : 'output')
  }

  #change(fd: number, side: 'both' | 'input' | 'output'): void {
    const settings = terminalSettings(fd)
    this.#raw.add(fd)
    this.#cleanup.defer('settings of the terminal', () =>
      unlessGone(() => setTerminalSettings(fd, settings)),
    )
    setTerminalSettings(fd, rawSettings(settings, side))
  }
}

/**
 * A descriptor of our own for one of our stdio, non-blocking without making the caller's copies so: they
 * share its flags. What cannot be opened again that way, a socket for one, or would start over at its
 * beginning, a regular file, is used as it is.
 */
function ownCopy(fd: 0 | 1, access: number): number {
  const status = fstatSync(fd)
  if (!status.isCharacterDevice() && !status.isFIFO()) return fd
  try {
    return open(`/proc/self/fd/${fd}`, access | O_NONBLOCK | O_NOCTTY)
  } catch (error) {
    // Another user's terminal, or a pipe whose reader is gone.
    if (!(error instanceof NspawnError) || !['EACCES', 'ENXIO', 'ENOENT'].includes(error.code)) {
      throw error
    }
    return fd
  }
}

function sameFile(one: number, other: number): boolean {
  const [a, b] = [fstatSync(one), fstatSync(other)]
  return a.dev === b.dev && a.ino === b.ino && a.rdev === b.rdev
}

function sizeOfEnvironment(): typeof DEFAULT_SIZE {
  const positive = (text: string | undefined): number | undefined => {
    const number = Number(text)
    return Number.isInteger(number) && number > 0 && number <= 0xffff ? number : undefined
  }
  return {
    ...DEFAULT_SIZE,
    rows: positive(process.env['LINES']) ?? DEFAULT_SIZE.rows,
    columns: positive(process.env['COLUMNS']) ?? DEFAULT_SIZE.columns,
  }
}

/** For a terminal that may have been closed meanwhile. */
function unlessGone(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function isGone(error: unknown): boolean {
  return error instanceof NspawnError && ['EPIPE', 'EIO', 'ENXIO'].includes(error.code)
}
