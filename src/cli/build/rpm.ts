/** What `build` can be told about rpm packages. */
import { Option } from 'commander'
import { buildable } from '../../build/buildable.ts'
import { rpmDriver } from '../../build/rpm/driver.ts'
import { readRpmSource } from '../../build/rpm/source-argument.ts'
import { usageError } from '../../errors.ts'
import { collect, list } from '../option-values.ts'
import type { BuildFamily } from './family.ts'
import { installCheckOption, nocheckOption } from './shared-options.ts'

interface RpmVerbOptions {
  readonly with?: string[]
  readonly without?: string[]
  readonly define?: string[]
  readonly nocheck?: boolean
  readonly installCheck?: boolean
  readonly rpmlint?: boolean
}

export const rpmFamily: BuildFamily = {
  driver: 'rpm',
  builds: 'rpm packages',
  options: [
    new Option('--with <names>', 'features of the spec, divided by commas').argParser(list),
    new Option('--without <names>', 'features that are left out, divided by commas').argParser(
      list,
    ),
    new Option('-D, --define <macro>', 'a macro: "NAME VALUE"; may be repeated').argParser(collect),
    nocheckOption,
    installCheckOption,
    new Option('--rpmlint', 'look at the packages with rpmlint, which decides nothing'),
  ],
  read: (common, source, words, given) => {
    const options = given as RpmVerbOptions
    if (words.length > 0)
      throw usageError('a spec says itself how it is built: no command is given after --')
    return buildable(rpmDriver, {
      ...common,
      source: readRpmSource(source, process.cwd()),
      options: {
        ...common.options,
        check: options.nocheck !== true,
        with: features(options.with ?? []),
        without: features(options.without ?? []),
        defines: (options.define ?? []).map(macro),
        installCheck: options.installCheck === true,
        rpmlint: options.rpmlint === true,
      },
    })
  },
}

function features(names: readonly string[]): readonly string[] {
  const odd = names.find((name) => !/^[A-Za-z0-9_]+$/.test(name))
  if (odd !== undefined) throw usageError(`not a feature of a spec: ${odd}`)
  return names
}

function macro(text: string): string {
  if (/^%?[A-Za-z_]\w*(\([^)]*\))?\s+\S/.test(text)) return text
  throw usageError(`not a macro: ${text}`, 'write --define "NAME VALUE"')
}
