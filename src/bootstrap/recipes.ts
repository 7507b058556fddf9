/** The recipes that come with the program, loaded by name. */
import { NspawnError } from '../errors.ts'
import type { Recipe } from '../recipe.ts'
import { oneOf } from './one-of.ts'

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
 * @throws NspawnError `RECIPE_UNKNOWN`
 */
export async function loadRecipe(id: string): Promise<Recipe> {
  const load = Object.hasOwn(builtIn, id) ? builtIn[id] : undefined
  if (load === undefined) {
    throw new NspawnError(`there is no recipe called ${JSON.stringify(id)}`, {
      code: 'RECIPE_UNKNOWN',
      hint: oneOf(id, recipeIds),
    })
  }
  return (await load()).default
}
