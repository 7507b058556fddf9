/**
 * The rpm database of a tree: asked by the tree's own rpm where it has one, since only that is sure to read it, else
 * by the one that wrote it, or the host's.
 */
import { NspawnError } from '../../errors.ts'
import { findProgram } from '../../find-program.ts'
import { runProgram } from '../../process.ts'
import type { RpmDatabase } from '../../recipe.ts'
import type { InstalledPackage } from '../families/family.ts'
import { isolated, killIsolated } from '../../isolation.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import { packageManagerEnvironment } from '../tools.ts'
import { databaseMacros, queryEnvironment } from './home.ts'

/** Where distributions have it; one is often a link to the other. */
const directories = ['/usr/lib/sysimage/rpm', '/var/lib/rpm'] as const

/** The file that each format keeps packages in. */
export const databaseFiles: Readonly<Record<RpmDatabase['format'], string>> = {
  sqlite: 'rpmdb.sqlite',
  ndb: 'Packages.db',
  bdb: 'Packages',
}

/** The database that the tree has, by its files; undefined when there is none. */
export function findDatabase(files: TreeFiles): RpmDatabase | undefined {
  for (const path of directories) {
    for (const format of ['sqlite', 'ndb', 'bdb'] as const) {
      if (files.stat(`${path}/${databaseFiles[format]}`)?.isFile() === true) return { path, format }
    }
  }
  return undefined
}

/**
 * What the database says is installed, by name; keys that were imported are no packages.
 *
 * @throws NspawnError `BOOTSTRAP_VERIFY` when it cannot be read
 */
export async function queryPackages(
  tree: TreeInMaking,
  files: TreeFiles,
  database: RpmDatabase,
): Promise<InstalledPackage[]> {
  const lines = hasOwnRpm(files) ? await askInside(tree) : await askFromOutside(tree, database)
  return lines
    .map((line) => packageLine.exec(line))
    .filter((match) => match !== null)
    .map(([, name, version, architecture]) => ({
      name: name!,
      version: version!,
      architecture: architecture!,
    }))
    .filter(({ name }) => name !== 'gpg-pubkey')
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** A mark of our own: warnings come between the lines. */
const query = ['rpm', '-qa', '--qf', 'package %{NAME} %{EVR} %{ARCH}\\n'] as const
const packageLine = /^package (\S+) (\S+) (\S+)$/

async function askInside(tree: TreeInMaking): Promise<string[]> {
  const lines: string[] = []
  const onLine = (line: string) => void lines.push(line)
  const { status } = await runInTree(tree, query, { network: 'none', onLine })
  if (status === 0) return lines
  throw unreadable(lines.slice(-3).join('\n  '))
}

async function askFromOutside(
  { root, context, tools }: TreeInMaking,
  { path, format }: RpmDatabase,
): Promise<string[]> {
  const [program, ...options] = query
  const macros = databaseMacros(path, format).flatMap((macro) => ['--define', macro])
  const command = [program, ...macros, '--root', root, ...options] as const
  if (tools?.findProgram('rpm') !== undefined) {
    const lines: string[] = []
    const readLine = (line: string) => void lines.push(line)
    await tools.run([...command], { environment: queryEnvironment, readLine })
    return lines
  }
  if (findProgram('rpm') === undefined) {
    throw unreadable(
      'there is no rpm in it, and none on this host',
      'install the package rpm, or put rpm into the tree with --include',
    )
  }
  const { stdout } = await runProgram(
    'cannot read the package database of the new tree',
    isolated([...command]),
    {
      env: { ...packageManagerEnvironment, ...queryEnvironment },
      signal: context.signal,
      terminate: killIsolated,
    },
  )
  return stdout.split('\n')
}

function hasOwnRpm(files: TreeFiles): boolean {
  return files.stat('/usr/bin/rpm')?.isFile() === true
}

function unreadable(why: string, hint?: string): NspawnError {
  return new NspawnError(`cannot read the package database of the new tree: ${why}`, {
    code: 'BOOTSTRAP_VERIFY',
    operation: 'rpm -qa',
    hint,
  })
}
