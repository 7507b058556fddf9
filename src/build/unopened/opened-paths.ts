/** The files that a build has opened, as its containers wrote them down. */
import { readFile } from 'node:fs/promises'

export interface OpenedPaths {
  /** Absolute in the container, without links in them. */
  readonly paths: ReadonlySet<string>
  /** Whether the kernel could tell of all. */
  readonly complete: boolean
}

/** Reads the lists (`Settings.openedFiles`) at these paths. */
export async function readOpenedPaths(lists: readonly string[]): Promise<OpenedPaths> {
  const texts = await Promise.all(lists.map((path) => readFile(path, 'utf8')))
  return parseOpenedPaths(texts)
}

export function parseOpenedPaths(texts: readonly string[]): OpenedPaths {
  const paths = new Set<string>()
  let complete = true
  for (const text of texts) {
    for (const path of text.split('\0').slice(0, -1)) {
      if (path === '') complete = false
      else {
        paths.add(path)
        const source = pythonSource(path)
        if (source !== undefined) paths.add(source)
      }
    }
  }
  return { paths, complete }
}

/** What Python would have read, had it not been compiled when it was installed (PEP 3147). */
function pythonSource(path: string): string | undefined {
  const match = /^(.*)\/__pycache__\/([^/]+)\.[^./]+(?:\.opt-\d)?\.pyc$/.exec(path)
  return match === null ? undefined : `${match[1]}/${match[2]}.py`
}
