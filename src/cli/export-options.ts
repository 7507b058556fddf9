/** The options that the export verbs have in common, and what they ask for. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { usageError } from '../errors.ts'
import { compressions, type Compression } from '../transfer/compression.ts'
import type { ExportedImage, ExportRequest } from '../transfer/export/export.ts'
import { isStandard } from '../transfer/local/open-file.ts'
import type { RunVerb } from './context.ts'
import { formatBytes } from './size.ts'

interface ExportOptions {
  readonly format?: string
  readonly imageRoot?: string
}

type Export = (request: ExportRequest) => Promise<ExportedImage>

/** @param load the work, whose module is read when it is called for */
export function defineExport(command: Command, run: RunVerb, load: () => Promise<Export>): void {
  command
    .argument('<name>', 'name of the image')
    .argument('[file]', 'where it goes; default standard output')
    .option('--format <format>', `${compressions.join(', ')}; default by the name of the file`)
    .option('--image-root <dir>', 'directory of the image; default the machines directories')
    .action((name: string, file: string | undefined, options: ExportOptions) =>
      run(async (context) => {
        const toStandardOutput = isStandard(file, 'stdout')
        if (toStandardOutput && context.style === 'json')
          throw usageError('--json needs standard output for itself', 'give the name of a file')
        const compression = chosenFormat(options.format)
        const exportImage = await load()
        const exported = await exportImage({
          name,
          target: file,
          compression,
          machinesOverride: context.machinesOverride,
          imageRoot: options.imageRoot === undefined ? undefined : resolve(options.imageRoot),
          signal: context.signal,
          log: context.log,
        })
        const text = `Exported '${name}' to '${exported.target}', ${formatBytes(exported.bytes)}.`
        if (toStandardOutput) context.log({ kind: 'notice', text })
        else context.result(exported, text)
        return 0
      }),
    )
}

function chosenFormat(format: string | undefined): Compression | undefined {
  if (format === undefined) return undefined
  const known = compressions.find((name) => name === format)
  if (known !== undefined) return known
  throw usageError(`unknown format: ${format}`, `there are: ${compressions.join(', ')}`)
}
