/**
 * Credentials: read on the host before anything is started, and laid out in the tree as files that stay in memory
 * and never reach a disk (systemd-nspawn(1), `--load-credential=`).
 */
import { chmodSync, chownSync, fstatSync, readSync, statSync, writeFileSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import type { Step } from '../plan/plan.ts'
import type { Credential } from '../settings/settings.ts'
import { close, open, O_RDONLY } from '../sys/fd.ts'
import { mount, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT } from '../sys/mount.ts'
import { descriptorPath, makeDirectoryInRoot, openInRoot } from '../sys/openat2.ts'
import type { ContainerSecrets } from './secrets.ts'
import type { StepContext } from './step-context.ts'

const MAX_BYTES = 64 * 1024 * 1024
const CHUNK_BYTES = 64 * 1024

/**
 * What each credential holds.
 *
 * @throws NspawnError, subject the file that could not be read
 */
export async function loadCredentials(
  credentials: readonly Credential[],
): Promise<ContainerSecrets['credentials']> {
  const loaded: ContainerSecrets['credentials'][number][] = []
  for (const { name, source } of credentials) {
    const base64 = source.kind === 'value' ? source.base64 : await load(name, source.path)
    loaded.push({ name, base64 })
  }
  return loaded
}

async function load(name: string, path: string): Promise<string> {
  try {
    const bytes = statSync(path).isSocket() ? await readSocket(path) : readFile(path)
    return bytes.toString('base64')
  } catch (error) {
    throw new NspawnError(`cannot read credential "${name}"`, {
      code: (error as { code?: string }).code ?? 'EIO',
      operation: 'read',
      subject: path,
      cause: error,
    })
  }
}

function tooLarge(): NspawnError {
  return new NspawnError('the credential is larger than 64 MiB', { code: 'E2BIG' })
}

/** Devices and pipes have no size, so what counts is how much comes. */
function readFile(path: string): Buffer {
  const fd = open(path, O_RDONLY)
  try {
    if (fstatSync(fd).size > MAX_BYTES) throw tooLarge()
    const chunks: Uint8Array[] = []
    for (let total = 0; ;) {
      const chunk = Buffer.alloc(CHUNK_BYTES)
      const length = readSync(fd, chunk, 0, chunk.length, null)
      if (length === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, length))
      total += length
      if (total > MAX_BYTES) throw tooLarge()
    }
  } finally {
    close(fd)
  }
}

/** Whoever listens there writes the credential and hangs up; nothing is said to it. */
async function readSocket(path: string): Promise<Buffer> {
  const { connect } = await import('node:net')
  const socket = connect({ path, allowHalfOpen: true })
  const chunks: Uint8Array[] = []
  let total = 0
  try {
    socket.end()
    for await (const chunk of socket as AsyncIterable<Uint8Array>) {
      chunks.push(chunk)
      total += chunk.length
      if (total > MAX_BYTES) throw tooLarge()
    }
  } finally {
    socket.destroy()
  }
  return Buffer.concat(chunks)
}

/** Writes them to a ramfs, which is never swapped out, and seals it: the mount and the file system below. */
export function layOutCredentials(
  step: Extract<Step, { kind: 'credentials' }>,
  context: StepContext,
): void {
  const { root, owner, secrets } = context
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
  const place = makeDirectoryInRoot(root, step.path, { mode: 0o755, owner })
  const target = descriptorPath(place)
  mount({ target, fstype: 'ramfs', flags, options: 'mode=0700', path: step.path })
  close(place)
  const mounted = openInRoot(root, step.path)
  try {
    for (const { name, base64 } of secrets.credentials) {
      const path = descriptorPath(mounted, name)
      writeFileSync(path, Buffer.from(base64, 'base64'), { flag: 'wx', mode: 0o600 })
      chmodSync(path, step.readers === 'root' ? 0o400 : 0o444)
      chownSync(path, owner, owner)
    }
    const directory = descriptorPath(mounted)
    chmodSync(directory, step.readers === 'root' ? 0o500 : 0o555)
    chownSync(directory, owner, owner)
    mount({ target: directory, flags: flags | MS_REMOUNT | MS_RDONLY, path: step.path })
  } finally {
    close(mounted)
  }
}
