/** What `build` can be told about PKGBUILDs. */
import { Option } from 'commander'
import { statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { buildable } from '../../build/buildable.ts'
import { archDriver } from '../../build/arch/driver.ts'
import { NspawnError, usageError } from '../../errors.ts'
import type { BuildFamily } from './family.ts'
import {
  installCheckOption,
  keyringOption,
  nocheckOption,
  sourceTooOption,
} from './shared-options.ts'

interface ArchVerbOptions {
  readonly nocheck?: boolean
  readonly sourceToo?: boolean
  readonly keyring?: string[]
  readonly installCheck?: boolean
  readonly packager?: string
  readonly namcap?: boolean
}

export const archFamily: BuildFamily = {
  driver: 'arch',
  builds: 'Arch packages',
  options: [
    nocheckOption,
    sourceTooOption,
    keyringOption,
    installCheckOption,
    new Option('--packager <name>', 'who has built it, as "Name <address>"'),
    new Option('--namcap', 'look at the packages with namcap, which decides nothing'),
  ],
  read: (common, source, words, given) => {
    const options = given as ArchVerbOptions
    if (words.length > 0)
      throw usageError('a PKGBUILD says itself how it is built: no command is given after --')
    return buildable(archDriver, {
      ...common,
      source: sourceDirectory(source),
      keyrings: (options.keyring ?? []).map((path) => resolve(path)),
      options: {
        ...common.options,
        check: options.nocheck !== true,
        sourcePackage: options.sourceToo === true,
        packager: options.packager,
        namcap: options.namcap === true,
        installCheck: options.installCheck === true,
      },
    })
  },
}

/** The directory with the PKGBUILD, which may have been named itself. */
function sourceDirectory(text: string): string {
  const path = resolve(text)
  const directory = basename(path) === 'PKGBUILD' ? dirname(path) : path
  if (statSync(join(directory, 'PKGBUILD'), { throwIfNoEntry: false })?.isFile() === true)
    return directory
  throw new NspawnError(`there is no PKGBUILD in ${text}`, {
    code: 'SOURCE_NOT_FOUND',
    operation: 'find source',
    subject: directory,
  })
}
