/** What the packages of an rpm build root have and want, as rpm(8) tells it. */
import type { Ask, InstalledContents } from './installer.ts'
import { namesInDependency } from './rpm-repository.ts'

const query = [
  'rpm',
  '-qa',
  '--qf',
  [
    'package %{NAME}',
    '[provides %{PROVIDENAME}\\n][depends %{REQUIRENAME}\\n][file %{FILENAMES}\\n]',
  ].join('\\n'),
]

export async function rpmContents(ask: Ask): Promise<readonly InstalledContents[]> {
  return parseRpmContents(await ask(query))
}

/** Reads what `rpm -qa` has printed. */
export function parseRpmContents(lines: readonly string[]): readonly InstalledContents[] {
  const found: { name: string; provides: string[]; depends: string[][]; files: string[] }[] = []
  for (const line of lines) {
    const blank = line.indexOf(' ')
    const [field, value] = [line.slice(0, blank), line.slice(blank + 1)]
    const current = found.at(-1)
    if (field === 'package') found.push({ name: value, provides: [], depends: [], files: [] })
    else if (field === 'provides') current?.provides.push(value)
    else if (field === 'depends') current?.depends.push([...namesInDependency(value)])
    else if (field === 'file') current?.files.push(value)
  }
  return found
}
