/** `run-container TREE COMMAND...`: a library's user that runs one container and prints the outcome. */
import { runContainer } from '../../../src/runtime/client.ts'
import { defaultSettings } from '../../../src/settings/settings.ts'

const [path = '', ...command] = process.argv.slice(2)
const settings = {
  ...defaultSettings(),
  root: { kind: 'directory' as const, path },
  access: 'read-only' as const,
  register: 'no' as const,
  quiet: true,
  command,
}
console.log(JSON.stringify(await runContainer({ settings, stdio: 'capture' })))
