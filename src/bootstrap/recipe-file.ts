/**
 * Recipes of users, given by their path: data in a JSON file, or in a module as its default export. Such a recipe extends
 * one that comes along, and says what is different.
 */
import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { z } from 'zod'
import { NspawnError } from '../errors.ts'
import type { Recipe } from '../recipe.ts'

export interface OwnRecipeFile {
  readonly recipe: Recipe
  /** What it extends. */
  readonly base: Recipe
}

/**
 * @param path absolute
 * @param load finds the recipe that this one extends
 * @throws NspawnError `RECIPE_UNKNOWN` when there is no such file, `RECIPE_WRONG` with file and line
 */
export async function readRecipeFile(
  path: string,
  load: (id: string) => Promise<Recipe>,
): Promise<OwnRecipeFile> {
  const text = readText(path)
  const said = extname(path) === '.json' ? parseJson(path, text) : await importModule(path)
  if (typeof said !== 'object' || said === null || Array.isArray(said))
    throw wrong(`${path}: a recipe is an object`, 'a module has it as its default export')
  const parent = 'extends' in said ? said.extends : undefined
  if (typeof parent !== 'string') {
    throw wrong(
      'extends' in said
        ? `${path}:${lineOf(text, ['extends'])}: extends: it takes the name of a recipe`
        : `${path}: the field extends is missing`,
      "it names the recipe that this one is different from, as in extends: 'debian'",
    )
  }
  const base = await parentOf(path, text, parent, load)
  const { recipeSchemas } = await import('./recipe-schema.ts')
  const checked = recipeSchemas[base.family].safeParse(said)
  if (!checked.success) throw wrong(firstIssue(path, text, checked.error.issues[0]!))
  const { extends: _parent, packageSets, customize, ...own } = checked.data
  const recipe: unknown = {
    ...base,
    title: own.id,
    ...own,
    ...('mirrors' in own && base.family === 'apt' ? { mirrorsOf: 'recipe' } : {}),
    packageSets: { ...base.packageSets, ...packageSets },
    ...(customize === undefined ? {} : { customize }),
  }
  const { releases, defaultRelease } = recipe as Recipe
  if (releases.some(({ name }) => name === defaultRelease))
    return { recipe: recipe as Recipe, base }
  const names = releases.map(({ name }) => name).join(', ')
  const where = lineOf(text, ['defaultRelease'])
  throw wrong(
    `${path}:${where}: defaultRelease: the default release ${defaultRelease} is none of ${names}`,
  )
}

/** The recipe that one extends; a name that none has is told with where it stands. */
async function parentOf(
  path: string,
  text: string,
  id: string,
  load: (id: string) => Promise<Recipe>,
): Promise<Recipe> {
  try {
    return await load(id)
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'RECIPE_UNKNOWN') throw error
    throw wrong(`${path}:${lineOf(text, ['extends'])}: extends: ${error.message}`, error.hint)
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException
    throw new NspawnError(
      code === 'ENOENT' ? `there is no recipe at ${path}` : `cannot read the recipe: ${message}`,
      { code: 'RECIPE_UNKNOWN', operation: 'read' },
    )
  }
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    const position = /position (\d+)/.exec(message)?.[1]
    const line = position === undefined ? '' : `:${lineAt(text, Number(position))}`
    throw wrong(`${path}${line}: ${message}`)
  }
}

async function importModule(path: string): Promise<unknown> {
  if (/\.m?ts$/.test(path) && !('typescript' in process.features && process.features.typescript)) {
    throw wrong(
      `${path}: this Node.js (${process.version}) reads no TypeScript`,
      'take Node.js 22.18 or newer, or call the file .mjs and leave the types out',
    )
  }
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown }
    return module.default
  } catch (error) {
    const { message, stack = '' } = error as Error
    const line = /\.(?:m?[jt]s):(\d+)/.exec(stack)?.[1]
    throw wrong(`${path}${line === undefined ? '' : `:${line}`}: ${message}`)
  }
}

/** The field, what is wrong with it, and where. */
function firstIssue(path: string, text: string, issue: z.core.$ZodIssue): string {
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
  const keys = [...issue.path, ...unknown].map(String)
  const what = unknown.length > 0 ? 'there is no such field' : issue.message
  return `${path}:${lineOf(text, keys)}: ${keys.join('.')}: ${what}`
}

/** The line that the last of nested fields is in, as far as it is written out. */
function lineOf(text: string, keys: readonly string[]): number {
  let at = 0
  for (const key of keys.filter((one) => !/^\d+$/.test(one))) {
    const next = text
      .slice(at)
      .search(new RegExp(`\\b${key.replaceAll(/[^\w-]/g, '.')}\\b["']?\\s*:`))
    if (next < 0) break
    at += next
  }
  return lineAt(text, at)
}

function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length
}

function wrong(message: string, hint?: string): NspawnError {
  return new NspawnError(message, { code: 'RECIPE_WRONG', operation: 'read recipe', hint })
}
