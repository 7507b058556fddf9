/** Names of packages in the indexes of rpm repositories, for saying what somebody may have meant. */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openPlain } from '../../transfer/decompress.ts'

/** The names in all indexes that a tool keeps below `directory`; each once. */
export async function packageNames(directory: string): Promise<Set<string>> {
  const names = new Set<string>()
  for (const path of await readdir(directory, { recursive: true })) {
    if (!/(^|-)primary\.xml(\.\w+)?$/.test(path)) continue
    const { chunks } = await openPlain(createReadStream(join(directory, path)))
    let rest = ''
    for await (const chunk of chunks) {
      const text = rest + Buffer.from(chunk).toString('latin1')
      for (const [, name] of text.matchAll(/<name>([^<]+)<\/name>/g)) names.add(name!)
      // A name may be divided between two chunks; none is longer than this.
      rest = text.slice(Math.max(0, text.lastIndexOf('<name>')))
      if (rest.length > 400) rest = text.slice(-400)
    }
  }
  return names
}
