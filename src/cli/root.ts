/** Verbs that nobody but root can do anything with say so before they begin. */
import { NspawnError } from '../errors.ts'

/** @param what the verb's work, as the subject of a sentence ("removing images") */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return
  throw new NspawnError(`${what} needs root`, { code: 'NOT_ROOT', hint: 'run it with sudo' })
}
