/** `edit NAME|FILE...`: changes the settings files of machines in an editor. */
import { usageError, NspawnError } from '../../errors.ts'
import { changeSettings, settingsPlace } from '../../images/settings-place.ts'
import { runInTerminal } from '../../process.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<names...>', 'machines, or paths of .nspawn files').action((names: string[]) =>
    run(async (context) => {
      requireRoot('changing settings')
      const places = names.map((name) => settingsPlace(name, context.machinesDirectory))
      if (!process.stdin.isTTY || !process.stdout.isTTY)
        throw usageError('settings can be edited on a terminal only')
      const changed: string[] = []
      for (const place of places) {
        const isChanged = await changeSettings(place, openEditor)
        if (isChanged) changed.push(place.target)
        context.log({
          kind: 'notice',
          text: isChanged ? `${place.target} was changed` : `${place.target} is as it was`,
        })
      }
      context.result(changed, '')
      return 0
    }),
  )
}

/** The user's editor, else the first that is installed. */
async function openEditor(path: string): Promise<void> {
  const asked = ['SYSTEMD_EDITOR', 'EDITOR', 'VISUAL']
    .map((name) => process.env[name]?.trim())
    .find((value) => value !== undefined && value !== '')
  const editors = asked === undefined ? ['editor', 'nano', 'vim', 'vi'] : [asked]
  for (const editor of editors) {
    try {
      const [program = '', ...args] = editor.split(/\s+/)
      const argv = [program, ...args, path] as const
      const status = await runInTerminal('cannot edit the settings file', argv)
      if (status === 0) return
      throw new NspawnError('the editor failed, nothing was changed', {
        code: 'PROGRAM_FAILED',
        operation: editor,
        status,
      })
    } catch (error) {
      if (!(error instanceof NspawnError) || error.code !== 'PROGRAM_NOT_FOUND') throw error
    }
  }
  throw usageError(`there is no editor called ${editors.join(' or ')}`, 'name one in $EDITOR')
}
