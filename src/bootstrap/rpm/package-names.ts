/** Names of packages in the indexes of rpm repositories, for saying what somebody may have meant. */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { nearest } from '../../settings/nearest.ts'
import { openPlain } from '../../transfer/decompress.ts'
import type { ToolLog } from '../tool-log.ts'

/**
 * The error for packages that no repository has, with what may have been meant.
 *
 * @param cache where the tool keeps its indexes
 */
export async function notInRepositories(
  tool: string,
  wanted: readonly string[],
  cache: string,
  log: ToolLog,
): Promise<NspawnError> {
  const names = [...new Set(wanted)]
  const known = await packageNames(cache)
  const meant = names.flatMap((name) => nearest(name, known) ?? [])
  return new NspawnError(
    `cannot make a tree with ${tool}: not in the repositories: ${names.join(', ')}`,
    {
      code: 'BOOTSTRAP_PACKAGE',
      operation: tool,
      log: log.path,
      hint:
        meant.length === 0
          ? 'check --include, or add where it is with --repo'
          : `did you mean ${meant.join(', ')}?`,
    },
  )
}

/** The names in all indexes that a tool keeps below `directory`; each once. */
async function packageNames(directory: string): Promise<Set<string>> {
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
