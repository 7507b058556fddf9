/** What `build` can be told about commands. */
import { Option } from 'commander'
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { buildable } from '../../build/buildable.ts'
import { commandDriver } from '../../build/command/driver.ts'
import { NspawnError, usageError } from '../../errors.ts'
import { collect, list } from '../option-values.ts'
import type { BuildFamily } from './family.ts'

interface CommandVerbOptions {
  readonly collect?: string[]
  readonly package?: string[]
}

export const commandFamily: BuildFamily = {
  driver: 'command',
  builds: 'commands',
  options: [
    new Option(
      '-c, --collect <pattern>',
      'results, relative to the source directory: dist/*.js, out/**; !… leaves out; may be repeated',
    ).argParser(collect),
    new Option(
      '-p, --package <names>',
      "installed before, by the tree's own package manager; divided by commas",
    ).argParser(list),
  ],
  read: (common, source, words, given) => {
    const options = given as CommandVerbOptions
    if (words.length === 0)
      throw usageError('no command is given', 'write it after --: build NAME DIR -- make')
    const { files = [], directories = [] } = common.packages ?? {}
    if (files.length + directories.length > 0 && options.package === undefined)
      throw usageError('nothing would install the ready packages', 'name them with --package too')
    const path = resolve(source)
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new NspawnError(`there is no directory ${source}`, {
        code: 'SOURCE_NOT_FOUND',
        operation: 'find source',
        subject: path,
      })
    }
    return buildable(commandDriver, {
      ...common,
      source: path,
      options: {
        ...common.options,
        command: words,
        packages: options.package ?? [],
        collect: options.collect ?? [],
      },
    })
  },
}
