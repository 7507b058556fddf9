/** `read-only NAME [BOOL]`: marks an image read-only, or lifts the mark. */
import { requireImageOrHost } from '../../images/discover.ts'
import { setImageAccess } from '../../images/mark-image.ts'
import { parseBoolean } from '../../settings/values/boolean.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<name>', 'image to mark')
    .argument('[bool]', 'no to lift the mark', 'yes')
    .action((name: string, text: string) =>
      run(async (context) => {
        requireRoot('marking images')
        const readOnly = parseBoolean(text)
        const image = requireImageOrHost(name, context.machinesOverride)
        setImageAccess(image, readOnly ? 'read-only' : 'read-write')
        context.result({ name, readOnly }, '')
        return 0
      }),
    )
}
