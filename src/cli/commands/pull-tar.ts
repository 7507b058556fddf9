/** `pull-tar URL [NAME]` */
import type { VerbModule } from '../context.ts'
import { definePull } from '../pull-options.ts'

export const define: VerbModule['define'] = (command, run) =>
  definePull(command, run, 'tar', 'archive of the tree')
