import { expect, test } from 'vitest'
import { isOriginal, lacksOriginal } from '../../../../src/build/debian/originals.ts'

test.each([
  ['hello_2.10.orig.tar.gz', true],
  ['hello_2.10.orig.tar.gz.asc', true],
  ['hello_2.10.orig-docs.tar.xz', true],
  ['hello_2.10.orig.tar', false],
  ['hello_2.10.1.orig.tar.gz', false],
  ['hello_2.10.orig.zip', false],
  ['hello_2.10-1.debian.tar.xz', false],
])('of hello 2.10, whether %s is an upstream tarball: %s', (name, is) => {
  expect(isOriginal(name, 'hello', '2.10')).toBe(is)
})

test('native packages lack none, others do when there is none', () => {
  const lacks = (format: string, version: string, files: readonly string[] = []) =>
    lacksOriginal({ format, version }, files)
  expect(lacks('3.0 (native)', '1.0')).toBe(false)
  expect(lacks('1.0', '1.0')).toBe(false)
  expect(lacks('1.0', '1.0-1')).toBe(true)
  expect(lacks('3.0 (quilt)', '1.0-1')).toBe(true)
  expect(lacks('3.0 (quilt)', '1.0-1', ['x'])).toBe(false)
})
