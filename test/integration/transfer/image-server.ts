/** What pulls are tried with: a small tree and a small disk image on a loopback server, and a place to pull them to. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LogEvent } from '../../../src/log.ts'
import type { PullRequest } from '../../../src/transfer/pull/pull.ts'
import { flakyFile, type FlakyFile } from '../../fixtures/flaky-file.ts'
import { serve, type Responder, type WebServer } from '../../fixtures/web-server.ts'

export const sha256 = (bytes: Buffer | string): string =>
  createHash('sha256').update(bytes).digest('hex')

/** A tree that is a system, with contents that do not compress. */
export function makeTree(parent: string): string {
  const tree = mkdtempSync(join(parent, 'tree-'))
  mkdirSync(join(tree, 'etc'))
  writeFileSync(join(tree, 'etc/os-release'), 'ID=test\n')
  writeFileSync(join(tree, 'blob'), randomBytes(1_500_000))
  return tree
}

/** @param flag of tar: `-z`, `-J`, … */
export function packTree(tree: string, flag?: string): Buffer {
  const flags = flag === undefined ? [] : [flag]
  return execFileSync('tar', ['--format=posix', '--xattrs', '-C', tree, ...flags, '-c', '.'], {
    maxBuffer: 1 << 28,
  })
}

export interface ImageServer extends AsyncDisposable {
  readonly file: FlakyFile
  /** Of the image. */
  readonly url: string
  readonly web: WebServer
}

/**
 * Serves `content` as `/name`, with other files beside it.
 *
 * @param list the checksums; default one of the image
 */
export async function imageServer(
  name: string,
  content: Buffer,
  others: Record<string, Buffer | string | Responder> = {},
  how: Partial<FlakyFile> = {},
): Promise<ImageServer> {
  const file = flakyFile(content, how)
  const web = await serve({
    [`/${name}`]: file.respond,
    '/SHA256SUMS': (_request, response) => void response.end(`${sha256(file.content)}  ${name}\n`),
    ...others,
  })
  return {
    file,
    web,
    url: `${web.origin}/${name}`,
    [Symbol.asyncDispose]: () => web[Symbol.asyncDispose](),
  }
}

export interface Heard {
  readonly events: LogEvent[]
  /** The texts of what was said. */
  texts(): string[]
}

/** A request with what most tests want, and what it said. */
export function request(
  machinesDirectory: string,
  url: string,
  more: Partial<PullRequest> = {},
): PullRequest & { readonly heard: Heard } {
  const events: LogEvent[] = []
  return {
    url,
    machinesDirectory,
    verify: { mode: 'checksum' },
    existing: 'keep',
    access: 'read-write',
    log: (event) => events.push(event),
    ...more,
    heard: {
      events,
      texts: () => events.flatMap((event) => ('text' in event ? [event.text] : [])),
    },
  }
}

/** Everything in a directory, hidden names too. */
export function namesIn(directory: string): string[] {
  return readdirSync(directory).toSorted()
}
