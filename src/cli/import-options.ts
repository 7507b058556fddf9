/** The options that the import verbs have in common, and what they ask for. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { ImportedImage, ImportRequest } from '../transfer/import/import.ts'
import type { CliContext, RunVerb } from './context.ts'
import { addClassOptions, chosenClass, type ClassOptions } from './image-class.ts'
import { requireRoot } from './root.ts'
import { addSyncOption, chosenSync, type SyncOption } from './sync-option.ts'

interface ImportOptions extends ClassOptions, SyncOption {
  readonly force?: boolean
  readonly readOnly?: boolean
  readonly imageRoot?: string
}

type Import = (request: ImportRequest) => Promise<ImportedImage>

/**
 * @param source the first argument, and what it is in words
 * @param load the work, whose module is read when it is called for
 */
export function defineImport(
  command: Command,
  run: RunVerb,
  source: readonly [string, string],
  load: () => Promise<Import>,
): void {
  command
    .argument(...source)
    .argument('[name]', 'name of the image; default from the name of the source')
    .option('-f, --force', 'replace an image of that name, in one step once the new one is there')
    .option('--read-only', 'mark the image read-only')
  addClassOptions(command)
  addSyncOption(command)
  command
    .option('--image-root <dir>', "directory for the image; default the class's")
    .action((from: string, name: string | undefined, options: ImportOptions) =>
      run(async (context) => {
        const request = importRequest(from, name, options, context)
        requireRoot('importing images')
        const importImage = await load()
        const image = await importImage(request)
        context.result(image, `Created new local image '${image.name}'.`)
        return 0
      }),
    )
}

function importRequest(
  source: string,
  name: string | undefined,
  options: ImportOptions,
  context: CliContext,
): ImportRequest {
  return {
    source,
    name,
    class: chosenClass(options),
    machinesDirectory: context.machinesDirectory,
    imageRoot: options.imageRoot === undefined ? undefined : resolve(options.imageRoot),
    existing: options.force === true ? 'replace' : 'keep',
    access: options.readOnly === true ? 'read-only' : 'read-write',
    sync: chosenSync(options),
    signal: context.signal,
    log: context.log,
  }
}
