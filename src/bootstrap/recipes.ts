/** Recipes: those that come with the program are loaded by name, those of users by path. */
import { resolve } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { Recipe } from '../recipe.ts'
import { oneOf } from './one-of.ts'
import { readRecipeFile } from './recipe-file.ts'
import { isRecipePath } from './recipe-path.ts'

const builtIn: Readonly<Record<string, () => Promise<{ default: Recipe }>>> = {
  arch: () => import('../../recipes/arch.ts'),
  archarm: () => import('../../recipes/archarm.ts'),
  debian: () => import('../../recipes/debian.ts'),
  ubuntu: () => import('../../recipes/ubuntu.ts'),
  fedora: () => import('../../recipes/fedora.ts'),
  centos: () => import('../../recipes/centos.ts'),
  almalinux: () => import('../../recipes/almalinux.ts'),
  rockylinux: () => import('../../recipes/rockylinux.ts'),
  'opensuse-leap': () => import('../../recipes/opensuse-leap.ts'),
  'opensuse-tumbleweed': () => import('../../recipes/opensuse-tumbleweed.ts'),
}

export const recipeIds: readonly string[] = Object.keys(builtIn)

/**
 * @param id what stands behind `create`
 * @throws NspawnError `RECIPE_UNKNOWN`, `RECIPE_WRONG`
 */
export async function loadRecipe(id: string): Promise<Recipe> {
  return (await loadWithBase(id)).recipe
}

/** The same, with the recipe that one of a user's extends. */
export async function loadWithBase(
  id: string,
): Promise<{ readonly recipe: Recipe; readonly base: Recipe | undefined }> {
  if (isRecipePath(id)) return readRecipeFile(resolve(id), loadBuiltIn)
  return { recipe: await loadBuiltIn(id), base: undefined }
}

async function loadBuiltIn(id: string): Promise<Recipe> {
  const load = Object.hasOwn(builtIn, id) ? builtIn[id] : undefined
  if (load === undefined) {
    throw new NspawnError(`there is no recipe called ${JSON.stringify(id)}`, {
      code: 'RECIPE_UNKNOWN',
      hint: oneOf(id, recipeIds),
    })
  }
  return (await load()).default
}
