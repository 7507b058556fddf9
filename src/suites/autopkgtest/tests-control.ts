/** Reads `debian/tests/control` (DEP-8; autopkgtest's README.package-tests). Pure. */
import { NspawnError } from '../../errors.ts'
import { parseDeb822, type Paragraph } from '../../bootstrap/debian/deb822.ts'

/** A test as its source declares it. */
export interface PackageTest {
  readonly name: string
  readonly run:
    /** Relative to the source. */
    | { readonly kind: 'script'; readonly path: string }
    /** For `bash -e`. */
    | { readonly kind: 'command'; readonly line: string }
  /** Each group of alternatives as it is written, with `@`. */
  readonly depends: readonly string[]
  readonly restrictions: readonly string[]
  /** Words of the field; none means every one. */
  readonly architectures: readonly string[]
  /** Why nobody can run it. */
  readonly refused?: string
}

const subject = 'debian/tests/control'

const knownFields = [
  ...['Tests', 'Test-Command', 'Restrictions', 'Features', 'Depends', 'Tests-Directory'],
  ...['Classes', 'Architecture'],
].map((name) => name.toLowerCase())

/**
 * All tests in their order. Those of a paragraph with a field that nobody knows are refused.
 *
 * @throws NspawnError `SOURCE_INVALID` when a paragraph says nothing to run, or contradicts itself
 */
export function parseTestsControl(text: string): readonly PackageTest[] {
  const tests: PackageTest[] = []
  let commands = 0
  for (const paragraph of parseDeb822(withoutComments(text), subject)) {
    const [scripts, command] = [paragraph.get('Tests'), paragraph.get('Test-Command')]
    if ((scripts === undefined) === (command === undefined))
      throw invalid('a paragraph needs one of Tests and Test-Command')
    const named = testName(paragraph)
    const common = {
      depends: groups(paragraph),
      restrictions: words(paragraph, 'Restrictions'),
      architectures: words(paragraph, 'Architecture'),
      ...refusal(paragraph),
    }
    if (command !== undefined) {
      const name = named ?? `command${++commands}`
      tests.push({ name, run: { kind: 'command', line: oneLine(command) }, ...common })
      continue
    }
    if (named !== undefined) throw invalid('the feature test-name is for Test-Command only')
    const directory = paragraph.folded('Tests-Directory') ?? 'debian/tests'
    const names = words(paragraph, 'Tests')
    if (names.length === 0) throw invalid('the field Tests is empty')
    for (const name of names) {
      const slash = name.includes('/') ? { refused: 'the name of a test may have no slash' } : {}
      const run = { kind: 'script', path: `${directory}/${name}` } as const
      tests.push({ name, run, ...common, ...slash })
    }
  }
  const twin = tests.find(({ name }, index) => tests.findIndex((one) => one.name === name) < index)
  if (twin !== undefined) throw invalid(`two tests are called ${twin.name}`)
  return tests
}

/** Everything behind `#` is one, and a line that has nothing else is none. */
function withoutComments(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .map((line) => line.replace(/#.*$/, ''))
    .join('\n')
}

function groups(paragraph: Paragraph): readonly string[] {
  const field = paragraph.folded('Depends') ?? '@'
  const written = field.split(',').map((group) => group.trim())
  const deprecated = words(paragraph, 'Restrictions').includes('needs-recommends')
  return [...written.filter((group) => group !== ''), ...(deprecated ? ['@recommends@'] : [])]
}

function testName(paragraph: Paragraph): string | undefined {
  const features = words(paragraph, 'Features').filter((one) => /^test-name(=|$)/.test(one))
  if (features.length > 1) throw invalid('the feature test-name is there twice')
  const [feature] = features
  if (feature === undefined) return undefined
  const name = feature.slice('test-name='.length)
  if (name === '') throw invalid('the feature test-name has no name')
  return name
}

function refusal(paragraph: Paragraph): { readonly refused?: string } {
  const unknown = paragraph.names().find((name) => !knownFields.includes(name))
  return unknown === undefined ? {} : { refused: `unknown field ${unknown}` }
}

function words(paragraph: Paragraph, field: string): readonly string[] {
  return (paragraph.folded(field) ?? '').split(/[\s,]+/).filter((word) => word !== '')
}

function oneLine(text: string): string {
  return text.split('\n').join(' ').trim()
}

function invalid(why: string): NspawnError {
  return new NspawnError(why, {
    code: 'SOURCE_INVALID',
    operation: 'read the tests of the package',
    subject,
  })
}
