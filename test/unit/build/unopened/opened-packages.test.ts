import { describe, expect, test } from 'vitest'
import { parseOpenedPaths } from '../../../../src/build/unopened/opened-paths.ts'
import {
  isOpenedDirectly,
  openedThroughLinks,
  ownFiles,
} from '../../../../src/build/unopened/opened-packages.ts'

const pack = (name: string, ...files: string[]) => ({ name, provides: [], depends: [], files })

describe('the lists of opened files', () => {
  test('name each path once, and the source of what Python has compiled', () => {
    const { paths, complete } = parseOpenedPaths([
      '/usr/bin/sed\0/usr/lib/python3/dist-packages/yaml/__pycache__/loader.cpython-311.pyc\0',
      '/usr/bin/sed\0/odd\nname\0',
    ])
    expect(complete).toBe(true)
    expect([...paths]).toEqual([
      '/usr/bin/sed',
      '/usr/lib/python3/dist-packages/yaml/__pycache__/loader.cpython-311.pyc',
      '/usr/lib/python3/dist-packages/yaml/loader.py',
      '/odd\nname',
    ])
  })

  test('say when some were lost', () => {
    expect(parseOpenedPaths(['/usr/bin/sed\0\0/usr/bin/awk\0'])).toEqual({
      paths: new Set(['/usr/bin/sed', '/usr/bin/awk']),
      complete: false,
    })
  })
})

describe('a package', () => {
  test('is opened by a file that has moved below /usr', () => {
    expect(isOpenedDirectly(pack('sed', '/bin/sed'), new Set(['/usr/bin/sed']))).toBe(true)
    expect(isOpenedDirectly(pack('sed', '/bin/sed'), new Set(['/usr/bin/sedx']))).toBe(false)
  })

  test('has files of its own besides directories and documentation', () => {
    const one = pack(
      'one',
      '/.',
      '/usr',
      '/usr/bin',
      '/usr/bin/one',
      '/usr/share/man/man1/one.1.gz',
    )
    expect(ownFiles(one)).toEqual(['/usr/bin/one'])
  })

  test('is opened by what its links lead to, but not by a library that its linker name leads to', () => {
    const gcc = pack('gcc', '/usr/bin/gcc')
    const zlibDev = pack('zlib-dev', '/usr/lib/libz.so', '/usr/include/zlib.h')
    const others = [pack('gcc-12', '/usr/bin/gcc-12'), pack('zlib', '/lib/libz.so.1.2')]
    const real = new Map([
      ['/usr/bin/gcc', '/usr/bin/gcc-12'],
      ['/usr/lib/libz.so', '/usr/lib/libz.so.1.2'],
    ])
    const packages = [gcc, zlibDev, ...others]
    const through = (...opened: string[]) =>
      openedThroughLinks([gcc, zlibDev], { real, paths: new Set(opened), packages })
    expect(through('/usr/bin/gcc-12', '/usr/lib/libz.so.1.2')).toEqual([gcc])
    expect(through('/usr/include/zlib.h')).toEqual([zlibDev])
  })
})
