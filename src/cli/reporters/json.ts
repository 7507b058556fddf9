/** One event a line on stdout, for other programs. Wrapped output is included: the reader filters. */
import { serializeError } from '../../errors.ts'
import type { Reporter } from '../reporter.ts'

export function jsonReporter(stdout: NodeJS.WritableStream): Reporter {
  const line = (value: object) =>
    void stdout.write(JSON.stringify({ ts: new Date().toISOString(), ...value }) + '\n')
  return {
    log: line,
    result: (value) => line({ kind: 'result', value }),
    failure: (error, status) => line({ kind: 'error', status, error: serializeError(error) }),
    close: () => {},
  }
}
