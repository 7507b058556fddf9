import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  aptRepositoryFiles,
  parseControl,
} from '../../../../src/build/installers/apt-repository.ts'

const control = [
  'Package: libx',
  'Version: 1:2.0-1',
  'Architecture: amd64',
  '# a comment',
  'Depends: libc6 (>= 2.36), a | b',
  'Pre-Depends: init',
  'Provides: x (= 2), y',
  'Filename: ../../etc/shadow',
  'SHA256: 0000',
  ' 0001',
  'Description: words',
  ' more words',
  '',
].join('\n')

test('a package says what it is, needs and provides', () => {
  expect(parseControl(control, 'libx.deb')).toMatchObject({
    name: 'libx',
    version: '1:2.0-1',
    architecture: 'amd64',
    provides: ['x', 'y'],
    requires: [['init'], ['libc6'], ['a', 'b']],
  })
})

test.each([
  ['no name', control.replace('Package: libx\n', '')],
  ['a name that is a path', control.replace('libx', '../x')],
  ['two paragraphs', `${control}\nPackage: other\n`],
  ['nothing', ''],
])('a control file with %s is refused', (_what, text) => {
  expect(() => parseControl(text, 'x.deb')).toThrow('cannot read the package')
})

test('the index has what only an index may say from us, and Release vouches for it', () => {
  const facts = parseControl(control, 'libx.deb')
  const one = { path: '0/libx.deb', sizeBytes: 7, sha256: 'abc', facts }
  const files = aptRepositoryFiles([one, { ...one, path: '1/libx.deb' }])
  const [index = '', release = '', list, pin] = files.map(({ text }) => String(text))
  expect(index.split('\n\n')).toHaveLength(2)
  expect(index).toContain(' more words\nFilename: ./0/libx.deb\nSize: 7\nSHA256: abc\n\n')
  expect(index).not.toMatch(/shadow|0000|0001|comment/)
  const digest = createHash('sha256').update(index).digest('hex')
  expect(release).toContain(`\n ${digest} ${index.length} Packages\n`)
  expect(list).toBe('deb [trusted=yes] file:/tsnspawn-packages ./\n')
  expect(pin).toContain('Pin-Priority: 1001')
})
