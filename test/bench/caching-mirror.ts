/**
 * A mirror on loopback that asks another one for each file once: whoever is measured after the first round waits for no
 * network, and all get the same bytes at the same pace.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fetchBytes } from '../../src/transfer/download.ts'
import { parseUrl } from '../../src/transfer/url.ts'

const MAX = 512 * 1024 ** 2

export interface CachingMirror extends AsyncDisposable {
  /** Where the archive at a URL is found. */
  at(archive: string): string
  /** How many files it had to ask for so far. */
  readonly asked: number
}

/** @param archives URLs of the archives that it stands in for */
export async function cachingMirror(archives: readonly string[]): Promise<CachingMirror> {
  const roots = [...new Set(archives)]
  /** Path here → the file, or undefined for one that is not there. */
  const files = new Map<string, Promise<Buffer | undefined>>()
  const find = (path: string): Promise<Buffer | undefined> => {
    const found = files.get(path) ?? fromArchive(path, roots)
    files.set(path, found)
    return found
  }
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    find(path).then(
      (file) => answer(response, file),
      (error: unknown) => {
        files.delete(path)
        response.writeHead(502).end(String(error))
      },
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    at: (archive) => `http://127.0.0.1:${port}/${roots.indexOf(archive)}`,
    get asked() {
      return files.size
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function fromArchive(path: string, roots: readonly string[]): Promise<Buffer | undefined> {
  const [, root, rest] = /^\/(\d+)\/(.+)$/.exec(path) ?? []
  const archive = roots[Number(root)]
  if (archive === undefined) return undefined
  try {
    return await fetchBytes({ url: parseUrl(`${archive}/${rest}`), maxBytes: MAX })
  } catch (error) {
    if ((error as { code?: string }).code === 'NOT_FOUND') return undefined
    throw error
  }
}

function answer(response: ServerResponse, file: Buffer | undefined): void {
  if (file === undefined) response.writeHead(404).end()
  else response.writeHead(200, { 'content-length': file.length }).end(file)
}
