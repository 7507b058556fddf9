import { describe, expect, test } from 'vitest'
import { parseDeb822 } from '../../../../src/bootstrap/debian/deb822.ts'
import { listedFiles } from '../../../../src/build/debian/file-list.ts'
import { parseStatus } from '../../../../src/build/installers/dpkg-packages.ts'
import {
  parseDsc,
  parseSourceTree,
  sourceDirectoryName,
} from '../../../../src/build/debian/source-control.ts'
import {
  compareVersions,
  fileVersion,
  parseVersion,
} from '../../../../src/bootstrap/debian/version.ts'

describe('paragraphs', () => {
  test('have fields with continuation lines, between comments and empty lines', () => {
    const text = '# head\n\nA: 1\nB:\n one\n# not data\n two\n\n\nA: 2 \n'
    const [first, second, ...more] = parseDeb822(text, 'x')
    expect(more).toEqual([])
    expect(first?.get('a')).toBe('1')
    expect(first?.get('B')).toBe('\none\ntwo')
    expect(first?.folded('B')).toBe('one two')
    expect(second?.get('A')).toBe('2')
  })

  test.each([
    ['no colon', 'A: 1\nnonsense\n', 'not a field: line 2: nonsense'],
    ['a continuation of nothing', ' x\n', 'a continuation line without a field: line 1:  x'],
    ['a field twice', 'A: 1\na: 2\n', 'a field that is there twice: line 2: a: 2'],
  ])('with %s are refused, line and text named', (_what, text, message) => {
    expect(() => parseDeb822(text, 'x')).toThrow(message)
  })
})

describe('versions', () => {
  // Each pair was put to dpkg --compare-versions.
  test.each([
    ['1.0', '1.0', 0],
    ['1.0-1', '1.0-2', -1],
    ['1.0~rc1', '1.0', -1],
    ['1.0~~', '1.0~', -1],
    ['1.10', '1.9', 1],
    ['1:0.1', '9', 1],
    ['1.0+b1', '1.0', 1],
    ['1.0a', '1.0+', -1],
    ['1.0', '1.0-0', 0],
    ['2.10-5', '2.10-5+deb13u1', -1],
    ['007', '7', 0],
  ])('%s against %s', (a, b, order) => {
    expect(Math.sign(compareVersions(a, b))).toBe(order)
    expect(Math.sign(compareVersions(b, a))).toBe(0 - order)
  })

  test('come apart at the first colon and the last hyphen', () => {
    expect(parseVersion('2:1.0-rc-3')).toEqual({ epoch: 2, upstream: '1.0-rc', revision: '3' })
    expect(parseVersion('1.0')).toEqual({ epoch: 0, upstream: '1.0', revision: '' })
    expect(fileVersion('2:1.0-3')).toBe('1.0-3')
  })
})

const hash = 'a'.repeat(64)

describe('lists of files', () => {
  const list = (line: string, more = '') =>
    listedFiles(parseDeb822(`Checksums-Sha256:\n ${line}\n${more}`, 'x')[0]!, 'x')

  test('give name, size and hash', () => {
    expect(list(`${hash.toUpperCase()} 12 hello_1.0.dsc`)).toEqual([
      { name: 'hello_1.0.dsc', sizeBytes: 12, sha256: hash },
    ])
  })

  test.each([
    ['a path', `${hash} 1 ../../etc/passwd`, 'not a plain file name: ../../etc/passwd'],
    ['an absolute path', `${hash} 1 /etc/passwd`, 'not a plain file name'],
    ['a hidden name', `${hash} 1 .bashrc`, 'not a plain file name'],
    ['an option', `${hash} 1 -rf`, 'not a plain file name'],
    ['a short hash', `abc 1 x.deb`, 'not a file entry'],
    ['a negative size', `${hash} -1 x.deb`, 'not a file entry'],
    ['too few words', `${hash} x.deb`, 'not a file entry'],
    ['a name twice', `${hash} 1 x.deb\n ${hash} 2 x.deb`, 'named twice'],
  ])('with %s are refused', (_what, line, message) => {
    expect(() => list(line)).toThrow(message)
  })

  test('must have a sha256 for every file', () => {
    expect(() => list(`${hash} 1 x.deb`, 'Files:\n abc 1 y.deb\n')).toThrow(
      'there is no sha256 for y.deb',
    )
    expect(() => listedFiles(parseDeb822('A: b\n', 'x')[0]!, 'x')).toThrow(
      'there is no Checksums-Sha256 field',
    )
  })
})

describe('source packages', () => {
  const dsc = (more: string) =>
    `Format: 3.0 (quilt)\nSource: hello\nVersion: 1:2.10-5\n${more}Checksums-Sha256:\n ${hash} 1 hello_2.10.orig.tar.gz\n`

  test('say name, version, format and build dependencies', () => {
    const source = parseDsc(dsc('Build-Depends: debhelper-compat (= 13),\n texinfo\n'), 'x')
    expect(source).toMatchObject({
      name: 'hello',
      version: '1:2.10-5',
      format: '3.0 (quilt)',
      buildDepends: { 'Build-Depends': 'debhelper-compat (= 13), texinfo' },
    })
    expect(sourceDirectoryName(source)).toBe('hello-2.10')
  })

  test.each([
    ['a path as name', dsc('').replace('hello', '../hello'), 'not a source package name: ../hello'],
    ['a path in the version', dsc('').replace('2.10-5', '2/../../3'), 'not a version'],
    ['two paragraphs', `${dsc('')}\nSource: evil\n`, 'a .dsc has exactly one paragraph'],
    ['no version', dsc('').replace(/^Version.*\n/m, ''), 'there is no Version field'],
  ])('with %s are refused', (_what, text, message) => {
    expect(() => parseDsc(text, 'x')).toThrow(message)
  })

  test('as directories are read from their own files', () => {
    const control =
      '# a comment\nSource: hello\nBuild-Depends: x,\n# why\n y\n\nPackage: hello\nArchitecture: any\n'
    const changelog = 'hello (2.10-5) unstable; urgency=low\n\n  * x\n'
    expect(parseSourceTree(control, changelog, '3.0 (native)\n')).toMatchObject({
      name: 'hello',
      version: '2.10-5',
      format: '3.0 (native)',
      buildDepends: { 'Build-Depends': 'x, y' },
    })
    expect(parseSourceTree(control, changelog, undefined).format).toBe('1.0')
    expect(() => parseSourceTree(control, 'nonsense\n', undefined)).toThrow('the first line is not')
    expect(() => parseSourceTree(control, changelog.replace('hello', 'bye'), undefined)).toThrow(
      'debian/changelog says bye',
    )
  })
})

test('only installed packages count, sorted by name', () => {
  const one = (name: string, status: string) =>
    `Package: ${name}\nStatus: ${status}\nVersion: 1\nArchitecture: all\n`
  const status = [
    one('b', 'install ok installed'),
    one('a', 'hold ok installed'),
    one('c', 'deinstall ok config-files'),
  ]
  expect(parseStatus(status.join('\n')).map(({ name }) => name)).toEqual(['a', 'b'])
})
