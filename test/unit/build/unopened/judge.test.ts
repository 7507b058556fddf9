import { describe, expect, test } from 'vitest'
import { judgeDependencies, packagesToLookAt } from '../../../../src/build/unopened/judge.ts'
import type { InstalledContents } from '../../../../src/build/installers/installer.ts'

const pack = (name: string, change: Partial<InstalledContents> = {}): InstalledContents => ({
  name,
  provides: [],
  depends: [],
  files: [`/usr/bin/${name}`],
  ...change,
})

const judge = (
  needs: readonly (readonly string[])[],
  contents: readonly InstalledContents[],
  opened: readonly string[],
  standing: readonly string[] = [],
) =>
  judgeDependencies(needs, {
    contents,
    standing: new Set(standing),
    isOpened: ({ name }) => opened.includes(name),
  })

describe('a dependency that was asked for', () => {
  test('is told when nothing of it was opened, by its own name and the one it was asked by', () => {
    const contents = [pack('gawk', { provides: ['awk'] }), pack('bison')]
    expect(judge([['awk'], ['bison']], contents, ['bison'])).toEqual([
      { name: 'gawk', asked: 'awk', opened: [] },
    ])
  })

  test('is the first alternative that is installed', () => {
    const contents = [pack('gawk'), pack('mawk')]
    expect(judge([['nawk', 'mawk', 'gawk']], contents, [])).toEqual([
      { name: 'mawk', asked: 'mawk', opened: [] },
    ])
  })

  test('may be a path', () => {
    expect(judge([['/usr/bin/bison']], [pack('bison')], [])).toEqual([
      { name: 'bison', asked: '/usr/bin/bison', opened: [] },
    ])
  })

  test('is told with what it has brought in and was opened, and with nothing else', () => {
    const contents = [
      pack('one-dev', { depends: [['one'], ['common'], ['libc']] }),
      pack('two', { depends: [['common']] }),
      pack('one'),
      pack('common'),
      pack('libc'),
    ]
    const opened = ['one', 'common', 'libc', 'two']
    expect(judge([['one-dev'], ['two']], contents, opened, ['libc'])).toEqual([
      { name: 'one-dev', asked: 'one-dev', opened: ['one'] },
    ])
  })

  test('that has nothing but documentation stands for what it depends on', () => {
    const files = ['/.', '/usr', '/usr/share', '/usr/share/doc', '/usr/share/doc/all/copyright']
    const contents = [pack('all', { files, depends: [['one']] }), pack('one')]
    expect(judge([['all']], contents, ['one'])).toEqual([])
    expect(judge([['all']], contents, [])).toHaveLength(1)
  })

  test('that nobody has installed is not told', () => {
    expect(judge([['nobody']], [pack('one')], [])).toEqual([])
  })
})

test('packages that need each other are looked at once, with what they need', () => {
  const contents = [
    pack('one', { depends: [['two']] }),
    pack('two', { depends: [['one'], ['/usr/bin/three']] }),
    pack('three'),
    pack('four'),
  ]
  const names = [...packagesToLookAt([['one']], contents)].map(({ name }) => name)
  expect(names).toEqual(['one', 'two', 'three'])
})
