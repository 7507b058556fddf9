/** `import-tar FILE [NAME]` */
import type { VerbModule } from '../context.ts'
import { defineImport } from '../import-options.ts'

export const define: VerbModule['define'] = (command, run) =>
  defineImport(
    command,
    run,
    ['<file>', 'a tar archive, compressed or not; - for standard input'],
    async () => (await import('../../transfer/import/import-tar.ts')).importTar,
  )
