/**
 * The home directory that rpm's tools get instead of the user's: rpm's macros come from there, and without them
 * Debian's rpm would put the database of the new tree into root's home.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RpmDatabase } from '../../recipe.ts'
import type { RpmArchive } from '../archives/rpm.ts'
import type { TreePlan } from '../plan.ts'

/** Debian's rpm else advises against itself. */
const withoutAdvice = { RPM_FORCE_DEBIAN: '1' } as const

/** For questions to the database of a tree: nobody's macros take part. */
export const queryEnvironment: RpmEnvironment = { ...withoutAdvice, HOME: '/nonexistent' }

/** Variables for every program that works on the rpm database of a tree. */
export interface RpmEnvironment extends Readonly<Record<string, string>> {
  readonly HOME: string
  readonly RPM_FORCE_DEBIAN: string
}

/**
 * Makes the home for filling a tree.
 *
 * @param directory absolute; is made
 * @param format that the database is written in
 * @returns variables to run the tools with
 */
export function makeRpmHome(
  directory: string,
  { archive, purpose, signatures }: TreePlan<RpmArchive>,
  format: RpmDatabase['format'],
): RpmEnvironment {
  return writeMacros(directory, [
    ...databaseMacros(archive.database.path, format).map((macro) => `%${macro}`),
    // They are mounted meanwhile, and take no owner or mode.
    '%_netsharedpath /proc:/sys',
    // A machine of somebody's own may speak any language; what only runs commands has no use for them.
    ...(purpose === 'command' ? ['%_install_langs C:en'] : []),
    // Newer ones of rpm itself refuse what is unsigned.
    ...(signatures === 'ignored' ? ['%_pkgverify_level digest'] : []),
  ])
}

/**
 * Definitions of macros that say where the database is, in the tree, and in which format.
 *
 * @see rpm's macros file, "_db_backend"
 */
export function databaseMacros(path: RpmDatabase['path'], format: RpmDatabase['format']): string[] {
  return [`_dbpath ${path}`, `_db_backend ${format}`]
}

function writeMacros(directory: string, lines: readonly string[]): RpmEnvironment {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  writeFileSync(join(directory, '.rpmmacros'), lines.map((line) => `${line}\n`).join(''))
  return { ...withoutAdvice, HOME: directory }
}
