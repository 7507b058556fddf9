/** Suites in files: YAML, checked before anything is done; what is wrong is told with its line. */
import { readFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml'
import type { z } from 'zod'
import { NspawnError } from '../errors.ts'
import { nearest } from '../settings/nearest.ts'
import { parseSpan } from '../time-span.ts'
import {
  caseDefaults,
  type Expectation,
  type OutputExpectation,
  type Suite,
  type SuiteFile,
  type SuiteImage,
  type TestCase,
} from './suite.ts'
import { suiteSchema, type SuiteWords } from './suite-schema.ts'

type CaseWords = SuiteWords['cases'][number]
type Defaults = NonNullable<SuiteWords['defaults']>
type Path = readonly PropertyKey[]

/**
 * Reads a suite.
 *
 * @param path absolute; paths in the file count from its directory
 * @throws NspawnError `SUITE_NOT_FOUND`; `SUITE_INVALID` with file and line
 */
export async function readSuiteFile(path: string): Promise<Suite> {
  return readSuite(await readText(path), path)
}

/** The same of a text; `path` is where it is said to come from. */
export function readSuite(text: string, path: string): Suite {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [problem] = document.errors
  if (problem !== undefined)
    throw invalid(`${path}:${lines.linePos(problem.pos[0]).line}: ${problem.message}`)
  const complain = (where: Path, what: string, hint?: string): never => {
    const line = lineOf(document, lines, where)
    const field = where.length === 0 ? '' : ` ${where.map(String).join('.')}:`
    throw invalid(`${path}:${line}:${field} ${what}`, hint)
  }
  const value = plain(document, path)
  const checked = suiteSchema.safeParse(value)
  if (!checked.success) {
    const { issues } = checked.error
    // A field with a slip in its name is missing, too.
    const slip = issues.find(({ code }) => code === 'unrecognized_keys')
    const issue = innermost(slip ?? issues[0]!, value)
    return complain(issue.path, issue.message, issue.hint)
  }
  const words = checked.data
  const directory = dirname(path)
  const images = (words.images ?? []).map((image) => readImage(image, directory))
  refuseTwice(images, ({ label }) => label, 'images', complain)
  refuseTwice(words.cases, ({ name }) => name, 'cases', complain)
  refuseUnknownLabels(words, images, complain)
  return {
    name: words.name ?? basename(path).replace(/\.ya?ml$/, ''),
    images,
    packages: words.packages ?? [],
    setup: (words.setup ?? []).map(argv),
    files: readFiles(words.files, directory),
    cases: words.cases.map((one) => readCase(one, words.defaults ?? {}, directory)),
  }
}

type Complain = (where: Path, what: string, hint?: string) => never

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException
    throw new NspawnError(code === 'ENOENT' ? 'there is no such suite' : 'cannot read the suite', {
      code: code === 'ENOENT' ? 'SUITE_NOT_FOUND' : code,
      operation: 'read',
      subject: path,
    })
  }
}

/** The document's value; aliases that would grow without end are refused by the parser. */
function plain(document: Document, path: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    throw invalid(`${path}: ${(error as Error).message}`)
  }
}

interface Complaint {
  readonly path: Path
  readonly message: string
  readonly hint?: string | undefined
}

/** What is wrong, as near to it as the schema can tell. */
function innermost(issue: z.core.$ZodIssue, value: unknown, above: Path = []): Complaint {
  const path = [...above, ...issue.path]
  if (valueAt(value, path) === undefined) return { path, message: 'it is missing' }
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    return { path: [...path, key], message: 'there is no such field', hint: fieldHint(key) }
  }
  if (issue.code === 'invalid_union') {
    // Of the forms that a value may have, the one whose fields were looked at was meant.
    const deeper = issue.errors.find(
      (issues) => issues[0]?.code === 'unrecognized_keys' || (issues[0]?.path.length ?? 0) > 0,
    )
    if (deeper?.[0] !== undefined && issue.errors.length < 3)
      return innermost(deeper[0], value, path)
    const custom = issue.errors.find((issues) => issues[0]?.code === 'custom')
    if (custom?.[0] !== undefined) return innermost(custom[0], value, path)
    return { path, message: issue.message }
  }
  if (issue.code === 'invalid_key') return { path, message: issue.issues[0]?.message ?? '' }
  return { path, message: issue.message.replace(/^Invalid input: /, '') }
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined),
    value,
  )
}

const fields = [
  ...['name', 'images', 'packages', 'setup', 'files', 'defaults', 'cases', 'command', 'skip'],
  ...['user', 'directory', 'environment', 'network', 'container', 'timeout', 'retries'],
  ...['collect', 'expect', 'status', 'stdout', 'stderr', 'equals', 'contains', 'matches'],
  ...['image', 'recipe', 'release', 'variant', 'include', 'label'],
]

function fieldHint(key: string): string | undefined {
  const meant = nearest(key, fields)
  return meant === undefined ? undefined : `did you mean ${meant}?`
}

/** The line of the innermost part of a way that is written out. */
function lineOf(document: Document, lines: LineCounter, path: Path): number {
  let node: unknown = document.contents
  let at = (document.contents?.range ?? [0])[0]
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find((one) => isScalar(one.key) && String(one.key.value) === key)
      if (pair === undefined) break
      at = isScalar(pair.key) ? (pair.key.range?.[0] ?? at) : at
      node = pair.value
    } else if (isSeq(node)) {
      const item = node.items[Number(key)] as { range?: readonly number[] } | undefined
      at = item?.range?.[0] ?? at
      node = item
    } else break
  }
  return lines.linePos(at).line
}

function refuseTwice<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
  field: string,
  complain: Complain,
): void {
  const seen = new Set<string>()
  for (const [index, item] of items.entries()) {
    const name = nameOf(item)
    if (seen.has(name)) complain([field, index], `there is another one called ${name}`)
    seen.add(name)
  }
}

/** Where images are named on the command line alone, nobody can tell yet. */
function refuseUnknownLabels(
  { cases }: SuiteWords,
  images: readonly SuiteImage[],
  complain: Complain,
): void {
  if (images.length === 0) return
  const labels = images.map(({ label }) => label)
  const check = (label: string, where: Path) => {
    if (labels.includes(label)) return
    const meant = nearest(label, labels)
    complain(
      where,
      `the suite has no image ${label}`,
      meant === undefined ? `it has ${labels.join(', ')}` : `did you mean ${meant}?`,
    )
  }
  for (const [index, one] of cases.entries()) {
    for (const [at, label] of (one.images ?? []).entries())
      check(label, ['cases', index, 'images', at])
    for (const label of Object.keys(one.skip ?? {})) check(label, ['cases', index, 'skip', label])
  }
}

function readImage(
  words: NonNullable<SuiteWords['images']>[number],
  directory: string,
): SuiteImage {
  if (typeof words === 'string') return plainImage(words, directory)
  const more = { packages: words.packages ?? [], setup: (words.setup ?? []).map(argv) }
  if ('image' in words) {
    const { label, source } = plainImage(words.image, directory)
    return { label: words.label ?? label, source, ...more }
  }
  const { recipe, name, variant, include } = words
  const release = words.release === undefined ? undefined : String(words.release)
  const label = words.label ?? name ?? [recipe, release].filter((one) => one).join('-')
  const path = recipe.includes('/') ? resolve(directory, recipe) : recipe
  return {
    label,
    source: { kind: 'recipe', recipe: path, name, release, variant, include },
    ...more,
  }
}

/**
 * An image without wishes of its own.
 *
 * @param name of an image, or a path with a slash
 * @param directory paths count from it
 */
export function plainImage(name: string, directory: string): SuiteImage {
  const isPath = name.includes('/')
  return {
    label: isPath ? basename(resolve(directory, name)) : name,
    source: { kind: 'image', name: isPath ? resolve(directory, name) : name },
    packages: [],
    setup: [],
  }
}

function readCase(words: CaseWords, defaults: Defaults, directory: string): TestCase {
  const said = { ...defaults, ...words }
  const environment = { ...defaults.environment, ...words.environment }
  return {
    name: words.name,
    command: argv(words.command),
    images: words.images,
    skip: new Map(Object.entries(words.skip ?? {})),
    user: said.user ?? caseDefaults.user,
    directory: said.directory ?? caseDefaults.directory,
    environment: Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [name, String(value)]),
    ),
    network: said.network ?? caseDefaults.network,
    container: said.container ?? caseDefaults.container,
    timeoutMs: spanOf(said.timeout) ?? caseDefaults.timeoutMs,
    retries: said.retries ?? caseDefaults.retries,
    files: readFiles(words.files, directory),
    collect: listOf(said.collect),
    expect: readExpectation({ ...defaults.expect, ...words.expect }),
  }
}

function readExpectation(words: NonNullable<CaseWords['expect']>): Expectation {
  const { status, skip } = words
  return {
    status: status === undefined ? caseDefaults.expect.status : [status].flat(),
    skipStatus: skip,
    stdout: readOutput(words.stdout),
    stderr: readOutput(words.stderr),
  }
}

function readOutput(words: NonNullable<CaseWords['expect']>['stdout']): OutputExpectation {
  if (typeof words === 'string') return { equals: words, contains: [], matches: [] }
  return {
    equals: words?.equals,
    contains: listOf(words?.contains),
    matches: listOf(words?.matches),
  }
}

/** In an order in which none comes before the directory that it goes into. */
function readFiles(words: SuiteWords['files'], directory: string): readonly SuiteFile[] {
  return Object.entries(words ?? {})
    .map(([destination, source]) => ({ destination, source: resolve(directory, source) }))
    .toSorted((a, b) => a.destination.length - b.destination.length)
}

/** A line for the shell, which ends at the first failure; or program and arguments. */
export function argv(words: string | readonly string[]): readonly string[] {
  return typeof words === 'string' ? ['/bin/sh', '-ec', words] : words
}

function spanOf(words: string | number | undefined): number | undefined {
  return typeof words === 'string'
    ? parseSpan(words)
    : words === undefined
      ? undefined
      : words * 1000
}

function listOf(words: string | readonly string[] | undefined): readonly string[] {
  if (words === undefined) return []
  return typeof words === 'string' ? [words] : words
}

function invalid(message: string, hint?: string): NspawnError {
  return new NspawnError(message, { code: 'SUITE_INVALID', operation: 'read suite', hint })
}
