import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readSourceArgument } from '../../../../src/build/debian/source-argument.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'argument-'))
  mkdirSync(join(directory, 'tree'))
  for (const name of ['hello_1.dsc', 'hello_1.tar.gz']) writeFileSync(join(directory, name), '')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const read = (text: string) => readSourceArgument(text, directory)

test('what exists is a path, what does not is a name', () => {
  expect(read('hello_1.dsc')).toEqual({ kind: 'dsc-file', path: join(directory, 'hello_1.dsc') })
  expect(read('./tree')).toEqual({ kind: 'directory', path: join(directory, 'tree') })
  expect(read('hello')).toEqual({ kind: 'name', name: 'hello', version: undefined })
  expect(read('hello=2.10-5')).toEqual({ kind: 'name', name: 'hello', version: '2.10-5' })
})

test('a URL must be one of a .dsc', () => {
  expect(read('http://h/x/hello_1.dsc')).toMatchObject({
    kind: 'dsc-url',
    url: { pathname: '/x/hello_1.dsc' },
  })
  expect(() => read('http://h/hello.tar.gz')).toThrow('the URL does not end in .dsc')
})

test.each([
  ['missing.dsc', 'SOURCE_NOT_FOUND'],
  ['./missing', 'SOURCE_NOT_FOUND'],
  ['Hello', 'SOURCE_NOT_FOUND'],
  ['hello_1.tar.gz', 'SOURCE_INVALID'],
  ['http://[/hello_1.dsc', 'SOURCE_INVALID'],
])('%s is refused as %s', (text, code) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ code }))
})

test.each([
  'https://example.org/hello.git',
  'https://example.org/hello.git#main',
  'git://example.org/hello',
  'git+ssh://example.org/hello',
  'ssh://example.org/hello',
  'git@example.org:hello.git',
])('a repository elsewhere, as %s, has to be cloned first', (text) => {
  expect(() => read(text)).toThrow(
    expect.objectContaining({
      code: 'SOURCE_INVALID',
      hint: 'clone it, and give the directory',
    }),
  )
})
