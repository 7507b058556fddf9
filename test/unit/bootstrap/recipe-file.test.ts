import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { planCreate } from '../../../src/bootstrap/create.ts'
import { loadRecipe } from '../../../src/bootstrap/recipes.ts'

let directory: string
const at = (name: string) => join(directory, name)
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'recipe-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('the example says what is different, and paths in it are relative to it', async () => {
  const path = new URL('../../../examples/recipes/web-server.json', import.meta.url).pathname
  const plan = await planCreate({ recipe: path, variant: 'boot', release: 'bookworm' }, '/m')
  expect(plan).toMatchObject({
    recipe: 'web-server',
    recipeFile: path,
    destination: '/m/web-server-bookworm',
    osRelease: { id: 'debian', codename: 'bookworm' },
  })
  expect(plan.include).toContain('nginx-light')
  expect(plan.customization).toMatchObject({
    hostname: 'web',
    copies: [{ source: join(path, '../site'), destination: '/var/www/html' }],
    hooks: [
      { kind: 'file', path: join(path, '../first-page') },
      { kind: 'shipped', name: 'minimize' },
    ],
  })
})

test('a module has it as its default export; what it leaves out is as in the recipe it extends', async () => {
  writeFileSync(at('own.mjs'), "export default { extends: 'debian', id: 'own' }\n")
  expect(await loadRecipe(at('own.mjs'))).toEqual({ ...debian, id: 'own', title: 'own' })
})

test('mirrors of its own go before those of a host of the same distribution', async () => {
  const mirrors = { main: 'https://example.org/debian' }
  writeFileSync(at('own.json'), JSON.stringify({ extends: 'debian', id: 'own', mirrors }))
  const { archive } = await planCreate({ recipe: at('own.json') }, '/m')
  expect(archive).toMatchObject({ mirror: mirrors.main, mirrorFrom: 'recipe' })
  writeFileSync(at('own.json'), JSON.stringify({ extends: 'debian', id: 'own' }))
  const inherited = await planCreate({ recipe: at('own.json') }, '/m')
  const debians = await planCreate({ recipe: 'debian' }, '/m')
  expect(inherited.archive.mirror).toBe(debians.archive.mirror)
})

test.each([
  ['{\n  "extends": "debian",\n  "id": "A b"\n}', ':3: id: takes small letters'],
  ['{ "extends": "debian",\n"id": "a",\n"colour": 1 }', ':3: colour: there is no such field'],
  [
    '{"extends":"debian","id":"a",\n"customize": {\n"users": "ann" } }',
    ':3: customize.users: Invalid input: expected array',
  ],
  [
    '{"extends":"debian","id":"a",\n"releases": [\n{"nam": "x"}]}',
    ':2: releases.0.name: Invalid input',
  ],
  ['{"id": "a"}', 'the field extends is missing'],
  ['[]', 'a recipe is an object'],
  ['{"id": "a",\n"extends": "debain"}', 'own.json:2: extends: there is no recipe called "debain"'],
  ['{"id": "a",\n"extends": 5}', 'own.json:2: extends: it takes the name of a recipe'],
  [
    '{"extends":"debian","id":"a",\n"defaultRelease":"x"}',
    ':2: defaultRelease: the default release x is none of sid',
  ],
])('%s is refused with file and line', async (text, message) => {
  writeFileSync(at('own.json'), text)
  await expect(loadRecipe(at('own.json'))).rejects.toThrow(message)
})

test('what cannot be read is said with where', async () => {
  await expect(loadRecipe(at('gone.json'))).rejects.toMatchObject({
    code: 'RECIPE_UNKNOWN',
    message: `there is no recipe at ${at('gone.json')}`,
  })
  writeFileSync(at('own.json'), '{')
  await expect(loadRecipe(at('own.json'))).rejects.toThrow(at('own.json'))
  writeFileSync(at('own.mjs'), "throw new Error('no today')\n")
  await expect(loadRecipe(at('own.mjs'))).rejects.toThrow('own.mjs:1: no today')
})
