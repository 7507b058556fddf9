/** `import-raw FILE [NAME]` */
import type { VerbModule } from '../context.ts'
import { defineImport } from '../import-options.ts'

export const define: VerbModule['define'] = (command, run) =>
  defineImport(
    command,
    run,
    ['<file>', 'a disk image, plain or qcow2, compressed or not; - for standard input'],
    async () => (await import('../../transfer/import/import-raw.ts')).importRaw,
  )
