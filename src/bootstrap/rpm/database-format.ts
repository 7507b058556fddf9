/**
 * Formats of rpm's database. An rpm reads those that it was built with, and no two distributions agree: openSUSE's knows
 * ndb and not sqlite, that of Debian 12 sqlite and not ndb. So the tool writes what the tree's rpm is used to where it
 * can, and else hands all headers over to it.
 */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import type { RpmDatabase } from '../../recipe.ts'
import type { RpmArchive } from '../archives/rpm.ts'
import type { TreePlan } from '../plan.ts'
import { runInTree } from '../run-in-tree.ts'
import type { StrategyRun } from '../strategy.ts'
import { TreeFiles } from '../tree-files.ts'
import { databaseFiles } from './database.ts'

export type WritableFormat = Exclude<RpmDatabase['format'], 'bdb'>

const formats: readonly WritableFormat[] = ['sqlite', 'ndb']

/** Files of these formats beside those that have the packages. */
const filesBeside = ['rpmdb.sqlite-shm', 'rpmdb.sqlite-wal', 'Index.db']

/**
 * The format that the tools write: that of the distribution if they can.
 *
 * @throws NspawnError `BOOTSTRAP_IMPOSSIBLE`
 */
export async function writableFormat(
  { archive }: TreePlan<RpmArchive>,
  { tools, paths }: StrategyRun,
): Promise<WritableFormat> {
  const wanted = archive.database.format
  const inOrder = formats.toSorted((a, b) => Number(b === wanted) - Number(a === wanted))
  // A dnf without the program brings a library that nobody can ask.
  if (tools.findProgram('rpm') === undefined) return inOrder[0]!
  for (const format of inOrder) {
    const probe = join(paths.temporary, `probe-${format}`)
    const macros = ['--define', `_db_backend ${format}`, '--dbpath', probe]
    // It may do with a dummy, and say so in words only.
    await tools.run(['rpm', ...macros, '--initdb'], {
      environment: { HOME: paths.temporary, RPM_FORCE_DEBIAN: '1' },
      accept: [0, 1],
    })
    const isThere = existsSync(join(probe, databaseFiles[format]))
    rmSync(probe, { recursive: true, force: true })
    if (isThere) return format
  }
  throw new NspawnError(
    'the rpm that comes with the tool writes no database that a tree could have',
    {
      code: 'BOOTSTRAP_IMPOSSIBLE',
      operation: 'rpm --initdb',
      hint: `it has to know ${formats.join(' or ')}; a tree of tools has one that does, see --via`,
    },
  )
}

/** Where the container of the tree sees the headers: on its own /run, so that nothing stays in the tree. */
const inside = '/run/tsnspawn-headers'

/**
 * Has the tree's own rpm write the database that the tool wrote as `written`, unless that is what the tree has anyway.
 *
 * @param environment that the tool had
 * @throws NspawnError `BOOTSTRAP_FAILED`
 */
export async function handOverDatabase(
  { archive }: TreePlan<RpmArchive>,
  { tools, paths, log, context }: StrategyRun,
  written: WritableFormat,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const { path, format } = archive.database
  if (written === format) return
  const files = new TreeFiles(paths.tree)
  const headers = join(paths.temporary, 'headers')
  const write = 'exec rpmdb --root "$1" --exportdb >"$2"'
  await tools.run(['sh', '-c', write, 'sh', paths.tree, headers], { environment })
  // An rpm that can read them would go on with these.
  for (const name of [...Object.values(databaseFiles), ...filesBeside])
    files.remove(`${path}/${name}`)
  const take = `exec rpmdb --importdb <${inside}`
  const hasRpm = files.stat('/usr/bin/rpmdb')?.isFile() === true
  const tree = { root: paths.tree, log, context }
  const { status } = hasRpm
    ? await runInTree(tree, ['sh', '-c', take], {
        network: 'none',
        binds: [{ source: headers, destination: inside }],
      })
    : { status: undefined }
  if (status === 0) return
  throw new NspawnError('the new tree cannot take over its package database', {
    code: 'BOOTSTRAP_FAILED',
    operation: 'rpmdb --importdb',
    status,
    log: log.path,
    ...(status === undefined ? { hint: 'put rpm into the tree with --include' } : {}),
  })
}
