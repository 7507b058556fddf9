/**
 * The journal of the container where the host's tools look for it (systemd-nspawn(1), `--link-journal=`): a link on
 * the host to a directory of the tree, or a directory of the host mounted in the tree. Runs in the outer child.
 */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { NspawnError } from '../errors.ts'
import type { Step } from '../plan/plan.ts'
import { close, open, O_DIRECTORY, O_NOFOLLOW, O_PATH } from '../sys/fd.ts'
import { attachMount, cloneMount, setMountAttributes } from '../sys/mount.ts'
import { openIdMapNamespace } from '../sys/namespaces.ts'
import { descriptorPath, makeDirectoryInRoot } from '../sys/openat2.ts'
import { statAt, S_IFLNK, S_IFMT, STATX_ATTR_MOUNT_ROOT } from '../sys/statx.ts'
import type { StepContext } from './step-context.ts'

const JOURNALS = '/var/log/journal'

type LinkJournal = Extract<Step, { kind: 'link-journal' }>

export function linkJournal(step: LinkJournal, context: StepContext): void {
  const id = context.containerUuid.replaceAll('-', '')
  if (step.hostMachineId === id) {
    const text = `host and machine ids are equal (${id}), so their journals are not linked`
    if (step.onFailure === 'fail') throw refusal('EEXIST', text, '/etc/machine-id')
    context.warn(text)
    return
  }
  try {
    link(step, `${JOURNALS}/${id}`, context)
  } catch (error) {
    const known =
      error instanceof NspawnError || (error as NodeJS.ErrnoException).code !== undefined
    if (!known || step.onFailure === 'fail') throw error
  }
}

function link(step: LinkJournal, path: string, context: StepContext): void {
  const { mode } = step
  if (step.hostMachineId === undefined) {
    throw refusal('ENOENT', 'the host has no machine ID', '/etc/machine-id')
  }
  const inode = { mode: 0o755, owner: context.owner }
  close(makeDirectoryInRoot(context.root, JOURNALS, inode))
  const found = lookAt(path)
  if (found === 'mount point') throw refusal('EEXIST', 'it is a mount point of the host', path)
  const linked = `${step.tree === '/' ? '' : step.tree}${path}`
  if (found === 'symlink') {
    if (mode !== 'host' && readlinkSync(path) === linked) {
      close(ownDirectory(path, context))
      return
    }
    unlinkSync(path)
  } else if (found !== 'missing' && mode === 'guest') rmdirSync(path)
  if (mode === 'guest') {
    close(ownDirectory(path, context))
    symlinkSync(linked, path)
    return
  }
  // A host without a persistent journal is not given one: only the last component is made.
  if (mode === 'host' && found !== 'directory') mkdirSync(path, { mode: 0o755 })
  if (mode === 'auto' && found !== 'directory') return
  bindFromHost(path, context)
}

function lookAt(path: string): 'missing' | 'symlink' | 'directory' | 'mount point' {
  let fd: number
  try {
    fd = open(path, O_PATH | O_NOFOLLOW)
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'ENOENT') return 'missing'
    throw error
  }
  try {
    const facts = statAt(fd)
    if ((facts.attributes & STATX_ATTR_MOUNT_ROOT) !== 0n) return 'mount point'
    return (facts.mode & S_IFMT) === S_IFLNK ? 'symlink' : 'directory'
  } finally {
    close(fd)
  }
}

/**
 * The directory in the tree, made when missing. What a tree shows in its place by a symlink is refused: on the host
 * the link would lead elsewhere than in the container.
 */
function ownDirectory(path: string, context: StepContext): number {
  const fd = makeDirectoryInRoot(context.root, path, { mode: 0o755, owner: context.owner })
  const place = (descriptor: number) => readlinkSync(descriptorPath(descriptor))
  const top = place(context.root)
  if (place(fd) === `${top === '/' ? '' : top}${path}`) return fd
  close(fd)
  throw refusal('ELOOP', 'in the tree it lies behind a symlink', path)
}

function bindFromHost(path: string, context: StepContext): void {
  const target = ownDirectory(path, context)
  try {
    if ((statAt(target).attributes & STATX_ATTR_MOUNT_ROOT) !== 0n) {
      throw refusal('EEXIST', 'it is a mount point in the container', path)
    }
    const source = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW)
    const mounted = cloneMount(descriptorPath(source), 'one')
    const sourceOwner = fstatSync(source).uid
    close(source)
    try {
      if (readdirSync(descriptorPath(target)).length > 0) {
        context.warn(`${path} is not empty in the tree, and out of sight while the container runs`)
      }
      if (context.users !== undefined) {
        const map = [{ inside: sourceOwner, outside: context.users.base, length: 1 }]
        const namespace = openIdMapNamespace(map)
        setMountAttributes(mounted, { idMap: namespace }, 'one', path)
        closeSync(namespace)
      }
      attachMount(mounted, descriptorPath(target), path)
    } finally {
      close(mounted)
    }
  } finally {
    close(target)
  }
}

function refusal(code: string, why: string, subject: string): NspawnError {
  return new NspawnError(`cannot link the journal: ${why}`, {
    code,
    operation: 'link journal',
    subject,
    hint: 'use --link-journal=no or one of its try- modes',
  })
}
