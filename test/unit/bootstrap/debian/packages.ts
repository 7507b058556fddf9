/** Indexes of packages for tests, in few words. */
import { PackageIndex } from '../../../../src/bootstrap/debian/package-index.ts'
import { Paragraph } from '../../../../src/bootstrap/debian/deb822.ts'
import { Mirrors } from '../../../../src/bootstrap/debian/mirrors.ts'
import type { SuiteRelease } from '../../../../src/bootstrap/debian/release.ts'

/** Fields of a package beside its name; a version may be left out. */
export type Described = Readonly<Record<string, string>>

const base = new URL('http://archive.example/debian/')

/** A suite of its own for each list; a name with a version is `name=version`. */
export function indexOf(
  ...suites: readonly {
    readonly release?: Described
    readonly packages: Readonly<Record<string, Described>>
  }[]
): PackageIndex {
  const index = new PackageIndex('amd64')
  let position = 0
  for (const { release = {}, packages } of suites) {
    const fields = new Paragraph()
    for (const [name, value] of Object.entries(release)) fields.add(name, value)
    const suite: SuiteRelease = {
      suite: 's',
      base,
      mirrors: new Mirrors([base]),
      directory: base,
      fields,
      signers: [],
      files: new Map(),
    }
    const number = index.addSuite(suite)
    for (const [word, described] of Object.entries(packages)) {
      const [name, version = '1.0'] = word.split('=')
      const all = {
        Package: name!,
        Version: version,
        Architecture: 'all',
        Filename: `pool/${name}.deb`,
        Size: '1',
        SHA256: '0'.repeat(64),
        ...described,
      }
      index.add(
        Object.entries(all)
          .map(([field, value]) => `${field}: ${value}`)
          .join('\n'),
        number,
        position++,
      )
    }
  }
  return index
}
