/** The packages of a build root of the rpm family: only the tree's own rpm is sure to read its database. */
import type { Ask, InstalledPackage } from './installer.ts'

const directories = ['usr/lib/sysimage/rpm', 'var/lib/rpm']
const names = ['rpmdb.sqlite', 'rpmdb.sqlite-wal', 'Packages.db', 'Packages']

/** Files that the database is in, of every format, relative to the root. */
export const rpmDatabase: readonly string[] = directories.flatMap((directory) =>
  names.map((name) => `${directory}/${name}`),
)

/** A mark of our own: warnings may come between the lines. */
const query = ['rpm', '-qa', '--qf', 'package %{NAME} %{EVR} %{ARCH}\\n']

/** What is installed, sorted by name; imported keys are no packages. */
export async function installedRpmPackages(ask: Ask): Promise<readonly InstalledPackage[]> {
  return (await ask(query))
    .map((line) => /^package (\S+) (\S+) (\S+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = '', version = '', architecture = '']) => ({ name, version, architecture }))
    .filter(({ name }) => name !== 'gpg-pubkey')
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}
