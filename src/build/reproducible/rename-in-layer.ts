/** Gives user, group and host their other names in a layer above all packages. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildUserName } from '../places.ts'
import { readTreeFile } from '../tree-path.ts'
import { variation, type Varied } from './variation.ts'

/**
 * Lets a container know the other names of user, group and host.
 *
 * @param layers absolute host directories, topmost first, that have the account files
 * @param upper a layer above them
 */
export async function renameInLayer(
  layers: readonly string[],
  upper: string,
  varied: Varied,
): Promise<void> {
  await mkdir(join(upper, 'etc'), { recursive: true, mode: 0o755 })
  for (const name of varied.has('user') ? ['passwd', 'group'] : []) {
    const text = await readTopmost(layers, `etc/${name}`)
    await writeFile(join(upper, 'etc', name), withOtherName(text), { mode: 0o644 })
  }
  if (!varied.has('hostname')) return
  const hosts = await readTopmost(layers, 'etc/hosts')
  const other = `127.0.1.1 ${variation.hostname}\n`
  await writeFile(join(upper, 'etc/hosts'), `${hosts}${other}`, { mode: 0o644 })
}

/**
 * An account file whose build user has the other name. The first line of a number gives it its name; the usual one
 * stays behind it, for what looks at results afterwards.
 */
export function withOtherName(text: string): string {
  const own = new RegExp(`^${buildUserName}:(.*)$`, 'gm')
  return text.replaceAll(own, (line: string, rest: string) => `${variation.user}:${rest}\n${line}`)
}

async function readTopmost(layers: readonly string[], path: string): Promise<string> {
  for (const layer of layers) {
    const text = await readTreeFile(layer, path)
    if (text !== undefined) return text
  }
  return ''
}
