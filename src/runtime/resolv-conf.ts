/** /etc/resolv.conf of the container (systemd-nspawn(1), `--resolv-conf=`). */
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { describeError } from '../errors.ts'
import type { Step } from '../plan/plan.ts'
import { close, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_WRONLY } from '../sys/fd.ts'
import { descriptorPath, openInRoot } from '../sys/openat2.ts'
import { tryBindFile } from './bind-target.ts'
import type { StepContext } from './step-context.ts'

/** Refusals that only mean "this tree wants to keep its own". */
const quiet = new Set(['ELOOP', 'EROFS', 'EACCES', 'EPERM', 'ENXIO'])

/** Nothing here is worth failing the container for: what cannot be done is a warning. */
export function setUpResolvConf(
  step: Extract<Step, { kind: 'resolv-conf' }>,
  context: StepContext,
): void {
  let etc: number
  try {
    etc = openInRoot(context.root, '/etc', O_PATH | O_DIRECTORY)
  } catch (error) {
    context.warn(`no /etc in the container, so no resolv.conf: ${describeError(error)}`)
    return
  }
  try {
    apply(step, context, etc)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (!quiet.has(code)) context.warn(`cannot set up /etc/resolv.conf: ${describeError(error)}`)
  } finally {
    close(etc)
  }
}

function apply(
  step: Extract<Step, { kind: 'resolv-conf' }>,
  context: StepContext,
  etc: number,
): void {
  const path = descriptorPath(etc, 'resolv.conf')
  if (step.mode === 'delete') {
    rmSync(path, { force: true })
    return
  }
  const [verb] = step.mode.split('-')
  if (verb === 'bind' && tryBindFile(step.hostPath, '/etc/resolv.conf', context)) return
  const content = readFileSync(step.hostPath)
  if (verb === 'replace') {
    const temporary = descriptorPath(etc, `.#resolv.conf.${process.hrtime.bigint().toString(16)}`)
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o644 })
    try {
      chmodSync(temporary, 0o644)
      chownSync(temporary, context.owner, context.owner)
      renameSync(temporary, path)
    } catch (error) {
      unlinkSync(temporary)
      throw error
    }
    return
  }
  overwriteRegular(path, content, context.owner)
}

/** Writes into the file that is there, or makes it; a symlink or anything but a file is left alone. */
export function overwriteRegular(path: string, content: Uint8Array, owner: number): void {
  const fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o644)
  try {
    if (!fstatSync(fd).isFile()) return
    ftruncateSync(fd)
    writeSync(fd, content)
    chmodSync(descriptorPath(fd), 0o644)
    chownSync(descriptorPath(fd), owner, owner)
  } finally {
    closeSync(fd)
  }
}
