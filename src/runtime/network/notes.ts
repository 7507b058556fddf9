/**
 * Notes of what containers have made outside themselves, each named after its owner and the network namespace, so that a
 * start knows at once, without asking anybody, whether a killed one has left something there.
 */
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CleanupStack } from '../../cleanup.ts'
import { isOwnerAlive, ownOwner, parseOwner } from '../../owner.ts'
import { runtimeDirectory } from '../../paths.ts'

/**
 * `rules`: tables; `bridge NAME`: a bridge of a zone; `address INTERFACE ADDRESS`: a place in a net;
 * `port PROTOCOL PORT`: of the host.
 */
export type NoteKind = 'rules' | 'bridge' | 'address' | 'port'

export interface Note {
  readonly kind: NoteKind
  /** Of what it is about; no blanks. */
  readonly words: readonly string[]
  readonly isStale: boolean
  /** `PID-STARTTIME` */
  readonly owner: string
  readonly file: string
}

/** Writes it down before it is made; the note goes with `cleanup`. */
export function note(kind: NoteKind, words: readonly string[], cleanup: CleanupStack): void {
  const directory = notesDirectory()
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const file = join(directory, [kind, ...words, ownOwner(), namespaceId()].join(' '))
  writeFileSync(file, '')
  cleanup.defer(`note of ${kind}`, () => rmSync(file, { force: true }))
}

/** Those of this network namespace. */
export function notes(): readonly Note[] {
  const here = namespaceId()
  return namesIn(notesDirectory()).flatMap((name): Note[] => {
    const [kind, ...rest] = name.split(' ')
    const [namespace, text = ''] = [rest.pop(), rest.pop()]
    const owner = parseOwner(text)
    if (owner === undefined || namespace !== here) return []
    const file = join(notesDirectory(), name)
    const about = { kind: kind as NoteKind, words: rest, owner: text, file }
    return [{ ...about, isStale: !isOwnerAlive(owner) }]
  })
}

function notesDirectory(): string {
  return join(runtimeDirectory(), 'network')
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** Numbers of namespaces are used again only after a namespace has ended, and its links with it. */
function namespaceId(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0'
}
