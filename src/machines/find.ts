/** A running machine by its name, as every verb wants it. */
import { NspawnError } from '../errors.ts'
import { checkMachineName } from '../machine-name.ts'
import type { Owner } from '../owner.ts'
import { findMachine, type MachineRecord } from '../runtime/registry.ts'

/** A machine whose first process exists. */
export interface RunningMachine extends MachineRecord {
  readonly leader: Owner
}

/** @throws NspawnError `USAGE` for what cannot be a name, `MACHINE_NOT_FOUND` when none is running */
export function requireMachine(name: string): RunningMachine {
  checkMachineName(name)
  const record = findMachine(name)
  if (record?.leader == null) {
    throw new NspawnError(`no machine ${name} is running`, {
      code: 'MACHINE_NOT_FOUND',
      subject: name,
      hint: 'tsnspawn-build list shows those that are',
    })
  }
  return { ...record, leader: record.leader }
}
