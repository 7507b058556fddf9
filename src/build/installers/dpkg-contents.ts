/** What the packages of a Debian build root have and want, as dpkg-query(1) tells it. */
import { parseRelations } from '../../bootstrap/debian/relation.ts'
import type { Ask, InstalledContents } from './installer.ts'

const query = [
  'dpkg-query',
  '-W',
  '-f',
  [
    'package ${db:Status-Status} ${Package}',
    'provides ${Provides}',
    'depends ${Pre-Depends}, ${Depends}',
    '${db-fsys:Files}',
    '',
  ].join('\\n'),
]

export async function dpkgContents(ask: Ask): Promise<readonly InstalledContents[]> {
  return parseDpkgContents(await ask(query))
}

/** Reads what `dpkg-query` has printed; paths have a blank before them. */
export function parseDpkgContents(lines: readonly string[]): readonly InstalledContents[] {
  const found: InstalledContents[] = []
  let files: string[] = []
  let head: Pick<InstalledContents, 'provides' | 'depends'> = { provides: [], depends: [] }
  for (const line of lines) {
    if (line.startsWith(' /')) {
      files.push(line.slice(1))
      continue
    }
    const [field = '', ...words] = line.split(' ')
    const value = words.join(' ')
    if (field === 'package') {
      const [status, name = ''] = words
      files = []
      head = { provides: [], depends: [] }
      if (status === 'installed') found.push({ name, files, ...head })
      continue
    }
    const current = found.at(-1)
    if (current === undefined || current.files !== files) continue
    const relations = () => parseRelations(value, current.name).map((one) => one.map(nameOf))
    if (field === 'provides') head = { ...head, provides: relations().flat() }
    else if (field === 'depends') head = { ...head, depends: relations() }
    found[found.length - 1] = { ...current, ...head }
  }
  return found
}

function nameOf({ name }: { readonly name: string }): string {
  return name
}
