/**
 * Remembers what some input said about one name: a package index of tens of megabytes, a PKGBUILD that takes
 * a container to be read. Inputs are named by their hash, so an answer can never be out of date.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { missing } from '../read-if-there.ts'
import { isLeftBehind, ownOwner } from '../owner.ts'

/** What is being written, with its writer. */
const part = /\.(\d+-\d+)-[0-9a-f]+\.part$/
const ageLimitMs = 30 * 24 * 3600 * 1000

export class AnswerCache {
  private readonly directory: string

  /** @param directory absolute; made when something is first kept */
  constructor(directory: string) {
    this.directory = directory
  }

  /** What the input said of the name; `undefined` when it was never asked. */
  async find(digest: string, name: string): Promise<string | undefined> {
    const path = this.path(digest, name)
    try {
      const text = await readFile(path, 'utf8')
      const now = new Date()
      await utimes(path, now, now)
      return text
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Keeps an answer, an empty one too, and drops those that nobody asked for in a month. */
  async keep(digest: string, name: string, text: string): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 })
    for (const old of await readdir(this.directory)) {
      const facts = await stat(join(this.directory, old)).catch(missing)
      if (facts === undefined) continue
      if (Date.now() - facts.mtimeMs > ageLimitMs || isLeftBehind(old, part))
        await rm(join(this.directory, old), { force: true })
    }
    const path = this.path(digest, name)
    const temporary = `${path}.${ownOwner()}-${randomBytes(6).toString('hex')}.part`
    await writeFile(temporary, text, { flag: 'wx', mode: 0o600 })
    await rename(temporary, path)
  }

  private path(digest: string, name: string): string {
    return join(this.directory, `${digest}-${name}`)
  }
}
