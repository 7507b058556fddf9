import { expect, test } from 'vitest'
import { readAptRepository } from '../../../../src/bootstrap/archives/apt-repository.ts'

const tree = { suite: 'trixie', components: ['main', 'contrib'] }

test('a URL alone is an archive with the suite, components and keys of the tree', () => {
  expect(readAptRepository('http://apt.example/x/', tree)).toEqual({
    uri: 'http://apt.example/x',
    ...tree,
    trust: { kind: 'archive' },
  })
  expect(readAptRepository('/srv/apt', tree).uri).toBe('file:///srv/apt')
})

test('a line of sources.list says all of it', () => {
  const line = 'deb  [signed-by=/etc/keys/x.gpg] https://apt.example/x stable/updates main extra'
  expect(readAptRepository(line, tree)).toEqual({
    uri: 'https://apt.example/x',
    suite: 'stable/updates',
    components: ['main', 'extra'],
    trust: { kind: 'keyring', path: '/etc/keys/x.gpg' },
  })
  expect(readAptRepository('deb [trusted=yes] /srv/apt ./', tree)).toEqual({
    uri: 'file:///srv/apt',
    suite: './',
    components: [],
    trust: { kind: 'nobody' },
  })
})

test.each([
  'deb',
  'deb http://apt.example/x',
  'deb http://apt.example/x trixie',
  'deb http://apt.example/x ./ main',
  'deb [arch=amd64] http://apt.example/x trixie main',
  'deb [signed-by=relative.gpg] http://apt.example/x trixie main',
  'deb ftp://apt.example/x trixie main',
  'deb http://apt.example/x trixie --main',
  'deb-src http://apt.example/x trixie main',
  'apt.example/x',
])('%s is refused', (text) => {
  expect(() => readAptRepository(text, tree)).toThrow(expect.objectContaining({ code: 'USAGE' }))
})
