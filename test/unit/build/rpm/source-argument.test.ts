import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recogniseSource } from '../../../../src/build/recognise.ts'
import { readRpmSource } from '../../../../src/build/rpm/source-argument.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

test('a spec, a directory with one, and a source package by path or URL are sources', async () => {
  await using work = await temporaryDirectory()
  const path = join(work.path, 'one/tiny.spec')
  await mkdir(join(work.path, 'one'))
  for (const name of ['one/tiny.spec', 'tiny-1-1.src.rpm'])
    await writeFile(join(work.path, name), '')
  const read = (text: string) => readRpmSource(text, work.path)
  expect(read('one')).toEqual({ kind: 'spec', path })
  expect(read('one/tiny.spec')).toEqual({ kind: 'spec', path })
  expect(read('tiny-1-1.src.rpm')).toMatchObject({ kind: 'package-file' })
  expect(read('http://x.example/tiny-1-1.src.rpm?token=1')).toMatchObject({ kind: 'package-url' })
  for (const text of ['one', 'one/tiny.spec', 'tiny-1-1.src.rpm', 'http://x/y.src.rpm'])
    expect(recogniseSource(text, work.path)).toEqual(['rpm'])
})

test('what is no source is refused with what would be one', async () => {
  await using work = await temporaryDirectory()
  const codeOf = (text: string): unknown => {
    try {
      return readRpmSource(text, work.path)
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  for (const name of ['a.spec', 'b.spec', 'x.rpm']) await writeFile(join(work.path, name), '')
  await mkdir(join(work.path, 'empty'))
  expect(codeOf('absent.spec')).toBe('SOURCE_NOT_FOUND')
  for (const text of ['.', 'empty', 'x.rpm', 'http://x.example/x.rpm', 'http://['])
    expect(codeOf(text)).toBe('SOURCE_INVALID')
})
