/** The options that say what a new image is for, as importctl has them. */
import type { Command } from 'commander'
import { usageError } from '../errors.ts'
import { imageClasses, type ImageClass } from '../transfer/pull/image-class.ts'

export interface ClassOptions {
  readonly class: string
  readonly m?: boolean
  readonly P?: boolean
  readonly S?: boolean
  readonly C?: boolean
}

export function addClassOptions(command: Command): void {
  command
    .option('--class <class>', imageClasses.join(', '), 'machine')
    .option('-m', 'the same as --class=machine')
    .option('-P', 'the same as --class=portable')
    .option('-S', 'the same as --class=sysext')
    .option('-C', 'the same as --class=confext')
}

/** @throws NspawnError `USAGE` for a class that there is not */
export function chosenClass(options: ClassOptions): ImageClass {
  const short = { machine: options.m, portable: options.P, sysext: options.S, confext: options.C }
  const chosen = imageClasses.find((name) => short[name] === true) ?? options.class
  const known = imageClasses.find((name) => name === chosen)
  if (known !== undefined) return known
  throw usageError(`there is no class ${chosen} of images`, `there are: ${imageClasses.join(', ')}`)
}
