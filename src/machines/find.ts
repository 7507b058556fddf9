/** A running machine by its name, as every verb wants it. */
import { NspawnError } from '../errors.ts'
import { checkMachineName } from '../machine-name.ts'
import { findMachine, type RunningMachine } from '../runtime/registry.ts'

/** @throws NspawnError `USAGE` for what cannot be a name, `MACHINE_NOT_FOUND` when none is running */
export function requireMachine(name: string): RunningMachine {
  checkMachineName(name)
  const record = findMachine(name)
  if (record !== undefined) return record
  throw new NspawnError(`no machine ${name} is running`, {
    code: 'MACHINE_NOT_FOUND',
    subject: name,
    hint: 'tsnspawn-build list shows those that are',
  })
}
