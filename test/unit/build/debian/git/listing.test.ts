import { expect, test } from 'vitest'
import {
  commitTime,
  differingPaths,
  readIndexListing,
  readPathListing,
  readTreeListing,
} from '../../../../../src/build/debian/git/listing.ts'
import { wantedPaths } from '../../../../../src/build/debian/git/take-checkout.ts'

const one = '1'.repeat(40)
const two = '2'.repeat(64)

test('entries of a commit have names with blanks and line breaks as they are', () => {
  expect(readTreeListing(`100644 blob ${one}\ta b\nc\x00120000 blob ${two}\tü/x\0`)).toEqual([
    { mode: '100644', object: one, path: 'a b\nc' },
    { mode: '120000', object: two, path: 'ü/x' },
  ])
})

test.each([
  '../x',
  'a/../b',
  'a//b',
  '/etc/passwd',
  '.git/config',
  'a/.GIT/hooks/x',
  './a',
  'a\u{fffd}',
])('a commit with a file %j is refused', (path) => {
  expect(() => readTreeListing(`100644 blob ${one}\t${path}\0`)).toThrow(
    expect.objectContaining({ code: 'SOURCE_INVALID' }),
  )
})

test('an unfinished merge is refused', () => {
  expect(readIndexListing(`100755 ${one} 0\tx\0`)).toEqual([
    { mode: '100755', object: one, path: 'x' },
  ])
  expect(() => readIndexListing(`100755 ${one} 2\tx\0`)).toThrow('a merge is not finished')
})

test('a list of paths may name directories', () => {
  expect(readPathListing('a\0inner/\0')).toEqual(['a', 'inner/'])
})

test('what differs is what is on one side only, or is another object or of another mode', () => {
  const entry = (path: string, mode = '100644', object = one) => ({ mode, object, path })
  expect(
    differingPaths(
      [entry('same'), entry('gone'), entry('mode'), entry('text')],
      [entry('same'), entry('come'), entry('mode', '100755'), entry('text', '100644', two)],
    ),
  ).toEqual(['come', 'gone', 'mode', 'text'])
})

test('the time of a commit is that of its committer, whatever its message says', () => {
  const header = `tree ${one}\nauthor A <a@x> 100 +0000\ncommitter C <c@x> 200 -0130\n`
  expect(commitTime(`${header}\ncommitter D <d@x> 300 +0000\n`)).toBe(200)
  expect(() => commitTime(`tree ${one}\n\ncommitter D <d@x> 300 +0000\n`)).toThrow('when')
})

test('wanted are the files, the directories that lead to them, and all of submodules', () => {
  const isWanted = wantedPaths(
    [
      { mode: '100644', path: 'a/b/c' },
      { mode: '160000', path: 'sub' },
    ],
    ['new', 'inner/'],
  )
  const paths = ['a', 'a/b', 'a/b/c', 'sub', 'sub/x/y', 'new', 'inner']
  expect(paths.filter((path) => !isWanted(path))).toEqual([])
  expect(['b', 'a/b/d', 'subx', 'new/x', 'inner/x'].filter(isWanted)).toEqual([])
})
