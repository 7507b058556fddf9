/** Where the settings of a machine are read and changed by people: an administrator's file, or the one beside the image. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { NspawnError, usageError } from '../errors.ts'
import { isImageName } from './names.ts'
import { randomSuffix } from './random-suffix.ts'

const administratorsPlace = '/etc/systemd/nspawn'

/** A settings file that was asked for by a machine's name or by its own path. */
export interface SettingsPlace {
  /** The file that holds now; undefined when there is none. */
  readonly found: string | undefined
  /** The file that a change is made in. */
  readonly target: string
}

/**
 * @param asked a machine's name, or an absolute path that ends in `.nspawn`
 * @throws NspawnError `USAGE`
 * @see machinectl(1), "edit", "cat"
 */
export function settingsPlace(asked: string, machinesDirectory: string): SettingsPlace {
  if (asked.startsWith('/')) {
    const name = basename(asked, '.nspawn')
    if (!asked.endsWith('.nspawn') || !isImageName(name))
      throw usageError(`${asked} is no name of a settings file`, 'such names end in .nspawn')
    return { found: existsSync(asked) ? asked : undefined, target: asked }
  }
  if (asked.endsWith('.nspawn') || !isImageName(asked))
    throw usageError(`"${asked}" is no name of a machine`)
  const file = `${asked}.nspawn`
  const found = [administratorsPlace, '/run/systemd/nspawn', machinesDirectory]
    .map((directory) => join(directory, file))
    .find((path) => existsSync(path))
  const isAdministrators = found !== undefined && dirname(found) !== machinesDirectory
  return { found, target: isAdministrators ? found : join(administratorsPlace, file) }
}

/** @throws NspawnError `USAGE` when there is none */
export function readSettings(
  asked: string,
  machinesDirectory: string,
): { path: string; text: string } {
  const { found } = settingsPlace(asked, machinesDirectory)
  if (found === undefined) throw usageError(`there is no settings file for ${asked}`)
  return { path: found, text: readFileSync(found, 'utf8') }
}

/**
 * Lets `edit` change a settings file. It works on a copy beside the file, which takes its place in one
 * step; an empty one, or one that is as it was, changes nothing.
 *
 * @param edit is given the path of the copy
 * @returns whether the file was changed
 */
export async function changeSettings(
  { found, target }: SettingsPlace,
  edit: (path: string) => Promise<void>,
): Promise<boolean> {
  const copy = join(dirname(target), `.#${basename(target)}${randomSuffix()}`)
  try {
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 })
    if (found !== undefined) copyFileSync(found, copy)
    await edit(copy)
    const after = existsSync(copy) ? readFileSync(copy) : Buffer.alloc(0)
    if (after.toString().trim() === '') return false
    if (found === target && readFileSync(found).equals(after)) return false
    renameSync(copy, target)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof NspawnError || code === undefined) throw error
    throw new NspawnError('cannot change the settings file', {
      code,
      operation: 'edit',
      subject: target,
      cause: error,
    })
  } finally {
    rmSync(copy, { force: true })
  }
}
