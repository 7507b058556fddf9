/** Colours, one line that moves, and a bar where the amount of work is known. */
import cliProgress from 'cli-progress'
import pc from 'picocolors'
import type { LogEvent } from '../../log.ts'
import type { Reporter, ReporterOptions } from '../reporter.ts'
import { named } from './named.ts'
import { failureText, seconds } from './plain.ts'

const clearLine = '\r\u001B[2K'

export function terminalReporter(
  options: Omit<ReporterOptions, 'style'>,
  stdout: NodeJS.WritableStream,
  stderr: NodeJS.WriteStream,
): Reporter {
  let bar: cliProgress.SingleBar | undefined
  let moving = false

  const settle = () => {
    bar?.stop()
    bar = undefined
    if (moving) stderr.write(clearLine)
    moving = false
  }
  const say = (text: string) => {
    settle()
    stderr.write(text + '\n')
  }
  const move = (text: string) => {
    if (bar !== undefined) settle()
    // Without the cut a long line wraps, and clearing it would leave its first half behind.
    const line = text.slice(0, Math.max(20, stderr.columns - 5))
    stderr.write(`${clearLine}${pc.dim(`  ${line}`)}`)
    moving = true
  }
  const advance = (event: Extract<LogEvent, { kind: 'progress' }>) => {
    if (event.total === undefined) {
      move(`${event.text} (${amount(event.done, event.unit)})${pace(event)}`)
      return
    }
    if (bar === undefined) {
      settle()
      bar = new cliProgress.SingleBar(
        {
          format: `  ${pc.cyan('{bar}')} {percentage}% {text}`,
          barsize: 24,
          clearOnComplete: true,
          hideCursor: null,
          stream: stderr,
          fps: 10,
        },
        cliProgress.Presets.shades_classic,
      )
      bar.start(event.total, event.done, { text: event.text + pace(event) })
    } else {
      bar.setTotal(event.total)
      bar.update(event.done, { text: event.text + pace(event) })
    }
  }
  const log = (said: LogEvent) => {
    const event = named(said)
    switch (event.kind) {
      case 'warning':
        say(`${pc.yellow('!')} ${event.text}`)
        if (event.hint !== undefined) say(pc.dim(`  ${event.hint}`))
        return
      case 'output':
        if (options.detail === 'verbose') say(event.line)
        return
      case 'notice':
        if (options.detail !== 'quiet') say(event.text)
        return
      case 'step':
        if (options.detail !== 'quiet') move(event.text)
        return
      case 'progress':
        if (options.detail !== 'quiet') advance(event)
        return
      case 'phase':
        if (options.detail !== 'quiet') phaseLine(event)
        return
      case 'result':
        return
    }
  }
  const phaseLine = (event: Extract<LogEvent, { kind: 'phase' }>) => {
    const took = event.durationMs === undefined ? '' : pc.dim(` ${seconds(event.durationMs)}`)
    if (event.state === 'start') {
      settle()
      move(`${event.phase} …`)
    } else if (event.state === 'end') say(`${pc.green('✔')} ${event.phase}${took}`)
    else say(`${pc.red('✘')} ${event.phase}${took}`)
  }
  return {
    log,
    result: (_value, text) => {
      settle()
      if (text !== '') stdout.write(text + '\n')
    },
    failure: (error) => say(`${pc.red(`${options.program}:`)} ${failureText(error)}`),
    close: settle,
  }
}

/** Speed and time left, where they are known. */
function pace(event: Extract<LogEvent, { kind: 'progress' }>): string {
  const { perSecond, remainingSeconds, unit } = event
  if (perSecond === undefined) return ''
  const left = remainingSeconds === undefined ? '' : `, ${duration(remainingSeconds)} left`
  return `, ${amount(perSecond, unit)}/s${left}`
}

function duration(inSeconds: number): string {
  if (inSeconds < 60) return `${inSeconds} s`
  const minutes = Math.floor(inSeconds / 60)
  return minutes < 60
    ? `${minutes} min ${inSeconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function amount(done: number, unit: 'bytes' | 'packages' | 'files'): string {
  return unit === 'bytes' ? `${(done / 1_000_000).toFixed(1)} MB` : `${done} ${unit}`
}
