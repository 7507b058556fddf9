/** The import direction is a lint rule; these tests prove the rule by breaking it, room by room. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const top = fileURLToPath(new URL('../..', import.meta.url))

/** What each room may import besides itself and the floor. Everything else is forbidden. */
const downwards: Record<string, readonly string[]> = {
  sys: [],
  settings: [],
  plan: ['settings'],
  images: ['plan', 'settings', 'sys'],
  transfer: ['images', 'plan', 'settings', 'sys'],
  runtime: ['images', 'plan', 'settings', 'sys'],
  machines: ['runtime', 'images', 'plan', 'settings', 'sys'],
  bootstrap: ['transfer', 'runtime', 'machines', 'images', 'plan', 'settings'],
  build: ['bootstrap', 'transfer', 'runtime', 'machines', 'images', 'plan', 'settings'],
  suites: ['build', 'bootstrap', 'transfer', 'runtime', 'machines', 'images', 'plan', 'settings'],
  cli: 'suites build bootstrap transfer runtime machines images plan settings sys'.split(' '),
}
const rooms = Object.keys(downwards)

interface Report {
  readonly diagnostics: readonly { readonly code: string; readonly filename: string }[]
}

let tree: string
let refused: Set<string>

function put(path: string, text: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true })
  writeFileSync(join(tree, path), text)
}

/** Lints the tree with the project's configuration; the answer is `file: rule` for each complaint. */
function lint(): Set<string> {
  let text: string
  try {
    text = execFileSync(join(top, 'node_modules/.bin/oxlint'), ['--format=json', '.'], {
      cwd: tree,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 << 20,
    })
  } catch (error) {
    text = (error as { stdout: string }).stdout
  }
  const { diagnostics } = JSON.parse(text) as Report
  return new Set(diagnostics.map(({ code, filename }) => `${filename}: ${code}`))
}

beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'house-plan-'))
  cpSync(join(top, '.oxlintrc.json'), join(tree, '.oxlintrc.json'))
  for (const room of rooms) {
    put(`src/${room}/thing.ts`, `export const thing = 1\n`)
    put(`src/floor-of-${room}.ts`, `import { thing } from './${room}/thing.ts'\nexport { thing }\n`)
    put(`src/${room}/to-floor.ts`, `import { thing } from '../noun.ts'\nexport { thing }\n`)
    put(`src/${room}/promises.ts`, `import { rm } from 'node:fs/promises'\nexport { rm }\n`)
    put(`src/${room}/says.ts`, `export function say() {\n  console.log('x')\n}\n`)
    put(`src/${room}/leaves.ts`, `export function leave() {\n  process.exit(1)\n}\n`)
    for (const other of rooms) {
      if (other === room) continue
      put(
        `src/${room}/deep/to-${other}.ts`,
        `import { thing } from '../../${other}/thing.ts'\nexport { thing }\n`,
      )
    }
  }
  put('src/noun.ts', `export const thing = 1\n`)
  put('src/runtime/outer-child.ts', `import { rm } from 'node:fs/promises'\nexport { rm }\n`)
  put(
    'src/plan/type-of-sys.ts',
    `import type { thing } from '../sys/thing.ts'\nexport type T = typeof thing\n`,
  )
  put('src/images/one.ts', `import { two } from './two.ts'\nexport const one = () => two\n`)
  put('src/images/two.ts', `import { one } from './one.ts'\nexport const two = () => one\n`)
  put('recipes/good.ts', `import { recipe } from '../src/recipe.ts'\nexport { recipe }\n`)
  put('recipes/bad.ts', `import { thing } from '../src/noun.ts'\nexport { thing }\n`)
  put('recipes/worse.ts', `import { thing } from '../src/bootstrap/thing.ts'\nexport { thing }\n`)
  refused = lint()
})

afterAll(() => rmSync(tree, { recursive: true, force: true }))

const restricted = (file: string) => refused.has(`${file}: eslint(no-restricted-imports)`)

describe.each(rooms)('%s', (room) => {
  test('imports exactly the rooms below it', () => {
    const others = rooms.filter((other) => other !== room)
    const allowed = others.filter((other) => !restricted(`src/${room}/deep/to-${other}.ts`))
    expect(allowed.toSorted()).toEqual((downwards[room] ?? []).toSorted())
  })

  test('stands on the floor, and the floor does not stand on it', () => {
    expect(restricted(`src/${room}/to-floor.ts`)).toBe(false)
    expect(restricted(`src/floor-of-${room}.ts`)).toBe(true)
  })

  test('prints only in cli, and never exits', () => {
    expect(refused.has(`src/${room}/says.ts: eslint(no-console)`)).toBe(room !== 'cli')
    expect(refused.has(`src/${room}/leaves.ts: unicorn(no-process-exit)`)).toBe(true)
  })

  test('uses promises of fs unless a forked child runs it', () => {
    expect(restricted(`src/${room}/promises.ts`)).toBe(room === 'sys')
  })
})

test('the stages of a forked child have synchronous fs only', () => {
  expect(restricted('src/runtime/outer-child.ts')).toBe(true)
})

test('plan may name the types of sys', () => {
  expect(restricted('src/plan/type-of-sys.ts')).toBe(false)
})

test('a recipe imports the recipe type and nothing else', () => {
  expect(restricted('recipes/good.ts')).toBe(false)
  expect(restricted('recipes/bad.ts')).toBe(true)
  expect(restricted('recipes/worse.ts')).toBe(true)
})

test('files do not import each other in a circle', () => {
  expect(refused.has('src/images/one.ts: import(no-cycle)')).toBe(true)
})
