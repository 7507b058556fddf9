/** /etc/localtime of the container (systemd-nspawn(1), `--timezone=`). */
import {
  lchownSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { describeError } from '../errors.ts'
import type { TimezoneMode } from '../settings/settings.ts'
import { close, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import { descriptorPath, openInRoot, openInRootIfPresent } from '../sys/openat2.ts'
import { tryBindFile } from './bind-target.ts'
import { overwriteRegular } from './resolv-conf.ts'
import type { StepContext } from './step-context.ts'

const HOST = '/etc/localtime'
const zonePattern = /^(?:\/|\.\.\/)usr\/share\/zoneinfo\/(.+)$/

/** Refusals that only mean "this tree wants to keep its own". */
const quiet = new Set(['EROFS', 'EACCES', 'EPERM'])

/** Tries the mode asked for, then the next weaker one; what cannot be done is a warning. */
export function setUpTimezone(
  mode: Exclude<TimezoneMode, 'off' | 'auto'>,
  context: StepContext,
): void {
  try {
    const etc = openInRoot(context.root, '/etc', O_PATH | O_DIRECTORY)
    try {
      apply(mode, context, etc)
    } finally {
      close(etc)
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (!quiet.has(code)) context.warn(`cannot set up /etc/localtime: ${describeError(error)}`)
  }
}

function apply(
  mode: Exclude<TimezoneMode, 'off' | 'auto'>,
  context: StepContext,
  etc: number,
): void {
  const path = descriptorPath(etc, 'localtime')
  switch (mode) {
    case 'delete':
      rmSync(path, { force: true })
      return
    case 'symlink':
      if (linkZone(context, path) || tryBindFile(HOST, '/etc/localtime', context)) return
      copy(path, context.owner)
      return
    case 'bind':
      if (!tryBindFile(HOST, '/etc/localtime', context)) copy(path, context.owner)
      return
    case 'copy':
      copy(path, context.owner)
  }
}

function copy(path: string, owner: number): void {
  const content = readFileSync(HOST)
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) unlinkSync(path)
  overwriteRegular(path, content, owner)
}

/** Links to the zone the host links to, when the container has it. */
function linkZone(context: StepContext, path: string): boolean {
  if (!lstatSync(HOST).isSymbolicLink()) return false
  const zone = zonePattern.exec(readlinkSync(HOST))?.[1]
  if (zone === undefined) return false
  const there = openInRootIfPresent(context.root, `/usr/share/zoneinfo/${zone}`)
  if (there === undefined) return false
  close(there)
  const target = `../usr/share/zoneinfo/${zone}`
  const existing = lstatSync(path, { throwIfNoEntry: false })
  if (existing?.isSymbolicLink() === true && zonePattern.exec(readlinkSync(path))?.[1] === zone)
    return true
  try {
    if (existing !== undefined) unlinkSync(path)
    symlinkSync(target, path)
    lchownSync(path, context.owner, context.owner)
    return true
  } catch (error) {
    // A tree that cannot be written gets the file itself.
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return false
  }
}
