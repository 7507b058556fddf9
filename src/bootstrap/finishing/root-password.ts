/** Whether root can log in. Bootstrapped trees have root locked; machines that boot may want a door. */
import { usageError } from '../../errors.ts'
import type { TreeFiles } from '../tree-files.ts'

export type RootPassword =
  | { readonly kind: 'locked' }
  | { readonly kind: 'empty' }
  /** As crypt(5) writes it. */
  | { readonly kind: 'hashed'; readonly hash: string }

/**
 * Reads `--root-password=`: `locked`, `empty`, or a hash. A password itself is refused: it would be seen
 * by everybody who lists processes.
 */
export function parseRootPassword(text: string): RootPassword {
  if (text === 'locked' || text === 'empty') return { kind: text }
  if (/^\$[0-9a-z]+\$[^:\s]+$/.test(text)) return { kind: 'hashed', hash: text }
  throw usageError(
    '--root-password= takes locked, empty, or a password that is hashed already',
    "make a hash with 'openssl passwd -6' or 'mkpasswd'",
  )
}

/** Writes root's field of `etc/shadow`, see shadow(5); the file's mode and owner stay. */
export function setRootPassword(files: TreeFiles, password: RootPassword): void {
  const shadow = files.read('/etc/shadow')
  const mode = files.stat('/etc/shadow')?.mode
  if (shadow === undefined || mode === undefined) return
  const days = Math.floor(Date.now() / 86_400_000)
  const field = password.kind === 'locked' ? '*' : password.kind === 'empty' ? '' : password.hash
  const text = shadow.replace(/^root:[^:]*:[^:]*:/m, () => `root:${field}:${days}:`)
  files.write('/etc/shadow', text, mode & 0o7777)
}
