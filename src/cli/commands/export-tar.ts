/** `export-tar NAME [FILE]` */
import type { VerbModule } from '../context.ts'
import { defineExport } from '../export-options.ts'

export const define: VerbModule['define'] = (command, run) =>
  defineExport(
    command,
    run,
    async () => (await import('../../transfer/export/export-tar.ts')).exportTar,
  )
