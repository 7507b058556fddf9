/** What `npm pack` makes is what users install: it has to run from wherever it lies. */
import { execa } from 'execa'
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))

let directory: TemporaryDirectory
let installed: string

/** Unpacked, with the dependencies of this clone beside it. */
beforeAll(async () => {
  directory = await temporaryDirectory()
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', directory.path]
  const { stdout } = await execa('npm', pack, { cwd: top })
  const archive = join(directory.path, stdout.trim().split('\n').at(-1) ?? '')
  await execa('tar', ['-xf', archive, '-C', directory.path])
  installed = join(directory.path, 'package')
  symlinkSync(join(top, 'node_modules'), join(installed, 'node_modules'))
  return () => directory[Symbol.asyncDispose]()
})

const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as {
  version: string
}

test('tsnspawn runs', async () => {
  const { stdout } = await execa(join(installed, 'bin/tsnspawn.cjs'), ['--version'])
  expect(stdout).toContain(version)
})

test('tsnspawn-build runs', async () => {
  const { stdout } = await execa(join(installed, 'bin/tsnspawn-build.cjs'), ['--version'])
  expect(stdout).toContain(version)
})

test('recipes and templates are found', async () => {
  const { stdout } = await execa(join(installed, 'bin/tsnspawn-build.cjs'), ['recipes'])
  expect(stdout).toContain('debian')
})

test('the library can be imported, with its types beside it', async () => {
  const script = `import('tsnspawn-build').then((it) => console.log(Object.keys(it).join(' ')))`
  const { stdout } = await execa('node', ['--eval', script], { cwd: installed })
  expect(stdout.split(' ')).toContain('runContainer')
  const types = readFileSync(join(installed, 'dist/lib/src/index.d.ts'), 'utf8')
  expect(types).toContain('ContainerRun')
})

test('no file of it names a path of the machine it was packed on', async () => {
  const search = ['-rlF', '--include=*.cjs', '--include=*.mjs', '--include=*.js', '--', top, '.']
  const { stdout } = await execa('grep', search, {
    cwd: join(installed, 'dist'),
    reject: false,
  })
  expect(stdout).toBe('')
})
