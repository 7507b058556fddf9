/** pacman's output, as it is without a progress bar: how far it is, and whose install script has failed. */
import type { LogEvent } from '../../log.ts'

const steps: readonly (readonly [RegExp, string])[] = [
  [/^:: Synchronizing package databases/, 'fetching the indexes'],
  [/^resolving dependencies/, 'choosing the packages'],
  [/^checking package integrity/, 'checking the packages'],
  [/^:: Running post-transaction hooks/, 'running hooks'],
]

export interface PacmanReader {
  /** A line as an event, or undefined when it says nothing new. */
  readonly readLine: (line: string) => LogEvent | undefined
  /** Install scripts and hooks that have failed, which pacman itself only mentions. */
  readonly failedScripts: string[]
}

/** @param total packages that will be installed, where that is known */
export function pacmanReader(total?: number): PacmanReader {
  const done = { fetched: 0, installed: 0 }
  const failedScripts: string[] = []
  let current = 'pacman'
  const progress = (text: string, count: number): LogEvent => ({
    kind: 'progress',
    text,
    done: count,
    total,
    unit: 'packages',
  })
  return {
    failedScripts,
    readLine(line) {
      if (
        /^error: (?:command failed to execute correctly|command terminated by signal)/.test(line)
      ) {
        failedScripts.push(current)
        return undefined
      }
      const step = steps.find(([pattern]) => pattern.test(line))
      if (step !== undefined) return { kind: 'step', text: step[1] }
      const hook = /^\(\s*\d+\/\d+\) (?!checking|loading|installing|upgrading)(.+?)\.*$/.exec(line)
      if (hook !== null) {
        current = `the hook “${hook[1]}”`
        return undefined
      }
      const fetched = /^ (\S+) downloading\.\.\.$/.exec(line)
      // Indexes have no version.
      if (fetched !== null && /-\d/.test(fetched[1]!))
        return progress(`fetching ${fetched[1]}`, ++done.fetched)
      const changed =
        /^(?:(installing|upgrading|reinstalling|downgrading)|removing) (\S+?)\.\.\.$/.exec(line)
      if (changed === null) return undefined
      current = `the install script of ${changed[2]}`
      if (changed[1] === undefined) return undefined
      return progress(`installing ${changed[2]}`, ++done.installed)
    },
  }
}
