/**
 * Making a tree that lives on by itself from another one: a snapshot, else a copy that shares blocks where it can. It is
 * named by its path, which may be no name of an image, and never takes the place of anything.
 */
import { lstatSync, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import { renameNew } from '../sys/at.ts'
import { fillTree } from './fill-tree.ts'
import { claimHiddenTree, removeStaleHiddenTrees, type HiddenTree } from './hidden-tree.ts'
import { changeNames, identityOf } from './name-change.ts'

export interface TemplateOptions {
  /** An existing directory. */
  readonly template: string
  readonly target: string
  /** Whether the new tree may be changed: a read-only subvolume or an immutable directory may not. */
  readonly access: 'read-only' | 'read-write'
  readonly log?: LogSink | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Fills `target` with what is in `template`, unless it exists: then nothing is done. The new tree gets
 * its name when it is complete; a run that is ended leaves nothing, and what a killed one left goes here.
 *
 * @returns how it was made, or `exists`
 * @throws NspawnError `ENOENT`, `ENOTDIR`, `CANCELED`, and whatever copying meets
 */
export async function populateFromTemplate(
  options: TemplateOptions,
): Promise<'exists' | 'snapshot' | 'copy'> {
  const log = options.log ?? silent
  const template = resolve(options.template)
  const target = resolve(options.target)
  // One that died over the mark of the tree is ended now.
  removeStaleHiddenTrees(dirname(target), log)
  if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) {
    log({
      kind: 'notice',
      text: `directory ${target} exists already, not filled from template ${template}`,
    })
    return 'exists'
  }
  const facts = statSync(template, { throwIfNoEntry: false })
  if (!facts?.isDirectory()) {
    throw new NspawnError(`template ${template} is not a directory`, {
      code: facts === undefined ? 'ENOENT' : 'ENOTDIR',
      operation: 'open template',
      subject: template,
    })
  }
  const hidden = claimHiddenTree(dirname(target), basename(target))
  try {
    const how = await fillTree(template, hidden.path, { log, signal: options.signal })
    throwIfCanceled(options.signal, 'filling the directory')
    giveName(hidden, target, options.access, log)
    hidden.release()
    log({ kind: 'notice', text: `filled ${target} from template ${template}` })
    return how
  } catch (error) {
    await hidden.remove()
    const { code } = error as NodeJS.ErrnoException
    if (code === 'CANCELED' || code === undefined) throw error
    throw new NspawnError(`cannot fill ${target} from template ${template}`, {
      code,
      operation: 'copy',
      cause: error,
      hint: code === 'ENOSPC' || code === 'EDQUOT' ? `make room in ${dirname(target)}` : undefined,
    })
  }
}

/** The name is given to a complete tree; the mark comes afterwards, since a read-only tree cannot be renamed. */
function giveName(
  hidden: HiddenTree,
  target: string,
  access: TemplateOptions['access'],
  log: LogSink,
): void {
  const image = identityOf(hidden.path)!
  changeNames(
    { target, image, mark: access === 'read-only', before: [], after: [], remove: [] },
    hidden.announce,
    () => renameNew(hidden.path, target),
    log,
  )
}
