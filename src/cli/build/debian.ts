/** What `build` can be told about Debian packages. */
import { Option } from 'commander'
import { resolve } from 'node:path'
import { buildable } from '../../build/buildable.ts'
import { debianDriver } from '../../build/debian/driver.ts'
import type { BuildScope } from '../../build/debian/plan.ts'
import { readSourceArgument } from '../../build/debian/source-argument.ts'
import { usageError } from '../../errors.ts'
import { list } from '../option-values.ts'
import type { BuildFamily } from './family.ts'
import { keyringOption, nocheckOption, sourceTooOption } from './shared-options.ts'

interface DebianOptions {
  readonly profiles?: string[]
  readonly buildOptions?: string[]
  readonly archOnly?: boolean
  readonly indepOnly?: boolean
  readonly nocheck?: boolean
  readonly sourceToo?: boolean
  readonly keyring?: string[]
  readonly requireSignature?: boolean
}

export const debianFamily: BuildFamily = {
  driver: 'debian',
  builds: 'Debian packages',
  options: [
    new Option('-P, --profiles <names>', 'build profiles, divided by commas').argParser(list),
    new Option(
      '--build-options <words>',
      'DEB_BUILD_OPTIONS: nocheck, nodoc, …; divided by commas or blanks',
    ).argParser(list),
    new Option('--arch-only', 'only packages of this architecture'),
    new Option('--indep-only', 'only packages for all architectures'),
    nocheckOption,
    sourceTooOption,
    keyringOption,
    new Option('--require-signature', 'no build without a good signature of a known developer'),
  ],
  read: (common, source, words, given) => {
    const options = given as DebianOptions
    if (words.length > 0)
      throw usageError('a Debian package says itself how it is built: no command is given after --')
    return buildable(debianDriver, {
      ...common,
      source: readSourceArgument(source, process.cwd()),
      options: {
        ...common.options,
        scope: scope(options),
        buildOptions: buildOptions(options),
        profiles: options.profiles ?? [],
      },
      signature: {
        keyrings: (options.keyring ?? []).map((path) => resolve(path)),
        required: options.requireSignature === true,
      },
    })
  },
}

/** Debian Policy 4.9.1 has a word for it. */
function buildOptions({ buildOptions: words = [], nocheck }: DebianOptions): readonly string[] {
  return nocheck === true && !words.includes('nocheck') ? [...words, 'nocheck'] : words
}

function scope({ archOnly, indepOnly, sourceToo }: DebianOptions): BuildScope {
  if (archOnly === true && indepOnly === true)
    throw usageError('give --arch-only or --indep-only, not both')
  return { any: indepOnly !== true, all: archOnly !== true, source: sourceToo === true }
}
