/** `--sync`, as systemd's import helpers have it: whether a new image waits for the disk before it is shown. */
import type { Command } from 'commander'
import { yesOrNo } from './option-values.ts'

export interface SyncOption {
  readonly sync: string
}

export function addSyncOption(command: Command): void {
  command.option(
    '--sync <bool>',
    'have all of it on the disk before the image gets its name',
    'yes',
  )
}

/** @throws NspawnError `USAGE` */
export function chosenSync({ sync }: SyncOption): 'yes' | 'no' {
  return yesOrNo(sync, '--sync') ? 'yes' : 'no'
}
