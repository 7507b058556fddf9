/** `import-fs DIR [NAME]` */
import type { VerbModule } from '../context.ts'
import { defineImport } from '../import-options.ts'

export const define: VerbModule['define'] = (command, run) =>
  defineImport(
    command,
    run,
    ['<dir>', 'a directory, of which a copy is made'],
    async () => (await import('../../transfer/import/import-fs.ts')).importFs,
  )
