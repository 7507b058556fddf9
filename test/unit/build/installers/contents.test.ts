import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseDpkgContents } from '../../../../src/build/installers/dpkg-contents.ts'
import { pacmanContents } from '../../../../src/build/installers/pacman-packages.ts'
import { parseRpmContents } from '../../../../src/build/installers/rpm-contents.ts'

test('dpkg tells of installed packages, and nothing of those that are not', () => {
  const lines = [
    'package installed gawk',
    'provides awk',
    'depends libc6 (>= 2.34), a | b:any, ',
    ' /.',
    ' /usr/bin/gawk',
    '',
    'package config-files old',
    'provides new',
    'depends , x',
    ' /etc/old',
    '',
    'package installed bare',
    'provides ',
    'depends , ',
    '',
  ]
  expect(parseDpkgContents(lines)).toEqual([
    {
      name: 'gawk',
      provides: ['awk'],
      depends: [['libc6'], ['a', 'b']],
      files: ['/.', '/usr/bin/gawk'],
    },
    { name: 'bare', provides: [], depends: [], files: [] },
  ])
})

test('rpm tells of names in rich dependencies, and of paths with blanks', () => {
  const lines = [
    'warning: something',
    'package one',
    'provides one',
    'provides pkgconfig(one)',
    'depends /bin/sh',
    'depends (two or three)',
    'file /usr/share/one a',
    'package two',
  ]
  expect(parseRpmContents(lines)).toEqual([
    {
      name: 'one',
      provides: ['one', 'pkgconfig(one)'],
      depends: [['/bin/sh'], ['two', 'three']],
      files: ['/usr/share/one a'],
    },
    { name: 'two', provides: [], depends: [], files: [] },
  ])
})

test('pacman’s database has them below all layers', async () => {
  const top = await mkdtemp(join(tmpdir(), 'contents-'))
  try {
    const write = async (layer: string, name: string, desc: string, files: string) => {
      const entry = join(top, layer, 'var/lib/pacman/local', name)
      await mkdir(entry, { recursive: true })
      await writeFile(join(entry, 'desc'), desc)
      await writeFile(join(entry, 'files'), files)
    }
    await write('low', 'one-1-1', '%NAME%\none\n\n%VERSION%\n1-1\n', '%FILES%\nusr/\nusr/bin/one\n')
    const desc =
      '%NAME%\ntwo\n\n%VERSION%\n2-1\n\n%DEPENDS%\none>=1\nthree\n\n%PROVIDES%\nduo=2\n\n'
    await write('high', 'two-2-1', desc, '%FILES%\nusr/bin/two\n\n%BACKUP%\netc/two\tabc\n')
    expect(await pacmanContents([join(top, 'high'), join(top, 'low')])).toEqual([
      {
        name: 'two',
        provides: ['duo'],
        depends: [['one'], ['three']],
        files: ['/usr/bin/two'],
      },
      { name: 'one', provides: [], depends: [], files: ['/usr', '/usr/bin/one'] },
    ])
  } finally {
    await rm(top, { recursive: true })
  }
})
