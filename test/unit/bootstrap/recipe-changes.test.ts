import { expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { recipeChanges } from '../../../src/bootstrap/recipe-changes.ts'
import type { Recipe } from '../../../src/recipe.ts'

test('a recipe that extends one tells field by field what is different', () => {
  const own: Recipe = {
    ...debian,
    id: 'own',
    title: 'Mine',
    components: ['main', 'contrib'],
    defaultRelease: 'bookworm',
    releases: debian.releases.filter(({ name }) => name === 'bookworm'),
    customize: { hostname: 'web', users: ['ann'] },
    packageSets: {
      ...debian.packageSets,
      build: { variant: 'buildd', include: ['devscripts'] },
    },
    mirrors: { main: 'https://example.org/debian' },
  }
  expect(recipeChanges(debian, own)).toEqual([
    'releases: bookworm (was sid, forky, trixie, bookworm)',
    'defaultRelease: bookworm (was trixie)',
    `mirrors.main: https://example.org/debian (was ${debian.mirrors.main})`,
    `mirrors.security: nothing (was ${debian.mirrors.security})`,
    'components: +contrib',
    'packageSets.build.include: +devscripts -fakeroot',
    'customize.hostname: web',
    'customize.users: +ann',
  ])
})

test('what only changes its order is a change', () => {
  const two = { ...debian, components: ['a', 'b'] }
  expect(recipeChanges(two, { ...two, components: ['b', 'a'] })).toEqual([
    'components: in the order b a',
  ])
  expect(recipeChanges(debian, { ...debian, id: 'own' })).toEqual([])
})
