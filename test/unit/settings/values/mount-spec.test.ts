import { describe, expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import {
  parseBind,
  parseInaccessible,
  parseOverlay,
  parseTmpfs,
  splitFields,
} from '../../../../src/settings/values/mount-spec.ts'

const host = (path: string) => ({ kind: 'host', path })
const container = (path: string) => ({ kind: 'container', path })
const temporary = { kind: 'temporary' }

describe('fields', () => {
  test.each<[string, readonly string[]]>([
    ['a:b', ['a', 'b']],
    ['a::b:', ['a', '', 'b', '']],
    ['', ['']],
    ['a\\:b:c', ['a:b', 'c']],
    ['a\\\\:b', ['a\\', 'b']],
    ['a\\nb', ['anb']],
    ['"a:b"', ['"a', 'b"']],
  ])('%s splits into %j', (text, fields) => {
    expect(splitFields(text, Infinity).fields).toEqual(fields)
  })
  test('what follows the last field taken is left as it was written', () => {
    expect(splitFields('a:b:c:\\:d', 2)).toEqual({ fields: ['a', 'b'], rest: 'c:\\:d' })
  })
  test('a backslash at the end is refused', () => {
    expect(() => splitFields('/a\\', 2)).toThrow('ends in a backslash')
  })
})

describe('bind', () => {
  const bind = (text: string) => parseBind(text, 'read-write', '/cwd')
  const plain = { kind: 'bind', access: 'read-write', recursive: true, idMap: 'noidmap' }
  test.each<[string, object]>([
    ['/a', { source: host('/a'), destination: '/a' }],
    ['/a:/b', { source: host('/a'), destination: '/b' }],
    ['a:/b', { source: host('/cwd/a'), destination: '/b' }],
    ['+/a', { source: container('/a'), destination: '/a' }],
    ['+/a:/b', { source: container('/a'), destination: '/b' }],
    [':/b', { source: temporary, destination: '/b' }],
    ['/a\\:b', { source: host('/a:b'), destination: '/a:b' }],
    ['"/a":/b', { source: host('/cwd/"/a"'), destination: '/b' }],
    ['/a/../b', { source: host('/a/../b'), destination: '/a/../b' }],
    ['//a/./b/:/c//d', { source: host('/a/b'), destination: '/c/d' }],
    ['/a:/b:', { source: host('/a'), destination: '/b' }],
    ['/a:/b:,', { source: host('/a'), destination: '/b' }],
    ['/a:/b:norbind', { source: host('/a'), destination: '/b', recursive: false }],
    [
      '/a:/b:idmap,norbind',
      { source: host('/a'), destination: '/b', recursive: false, idMap: 'idmap' },
    ],
    ['/a:/b:rootidmap', { source: host('/a'), destination: '/b', idMap: 'rootidmap' }],
    ['/a:/b:owneridmap,rbind', { source: host('/a'), destination: '/b', idMap: 'owneridmap' }],
    ['/a:/b:idmap,noidmap', { source: host('/a'), destination: '/b' }],
  ])('%s', (text, mount) => {
    expect(bind(text)).toEqual({ ...plain, ...mount })
  })
  test.each(['', ':', '::', 'a', 'a:b', '/a:', ':b', '+', '+a', '+a:/b', '"/a:b"', '/a\\'])(
    '"%s" is refused, as by systemd-nspawn',
    (text) => {
      expect(() => bind(text)).toThrow(NspawnError)
    },
  )
  test('an unknown mount option is refused, with the option that was meant', () => {
    expect(() => bind('/a:/b:ro')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('--bind-ro=') }),
    )
    expect(() => bind('/a:/b:idmpa')).toThrow(
      expect.objectContaining({ hint: 'did you mean idmap?' }),
    )
    expect(() => bind('/a:/b:idmap:x')).toThrow('unknown option "idmap:x"')
  })
})

describe('tmpfs', () => {
  test.each<[string, string, string]>([
    ['/a', '/a', 'mode=0755'],
    ['/a:', '/a', 'mode=0755'],
    ['/a:size=1M,mode=1777', '/a', 'size=1M,mode=1777'],
    ['/a:b:c', '/a', 'b:c'],
    ['/a\\:b:size=1', '/a:b', 'size=1'],
  ])('%s mounts on %s with %s', (text, destination, options) => {
    expect(parseTmpfs(text)).toEqual({ kind: 'tmpfs', destination, options })
  })
  test.each(['', ':', 'a', '+/a', '/', '//.'])('"%s" is refused', (text) => {
    expect(() => parseTmpfs(text)).toThrow(NspawnError)
  })
})

describe('overlay', () => {
  const overlay = (text: string) => parseOverlay(text, 'read-write', '/cwd')
  const plain = { kind: 'overlay', access: 'read-write' }
  test.each<[string, object]>([
    ['/l:/u', { lowers: [host('/l')], upper: host('/u'), destination: '/u' }],
    ['a:b', { lowers: [host('/cwd/a')], upper: host('/cwd/b'), destination: '/cwd/b' }],
    ['/l:+/u', { lowers: [host('/l')], upper: container('/u'), destination: '/u' }],
    ['/l:/u:/d', { lowers: [host('/l')], upper: host('/u'), destination: '/d' }],
    [
      '/l1:+/l2:u:/d',
      { lowers: [host('/l1'), container('/l2')], upper: host('/cwd/u'), destination: '/d' },
    ],
    ['+/var::/var', { lowers: [container('/var')], upper: temporary, destination: '/var' }],
  ])('%s', (text, mount) => {
    expect(overlay(text)).toEqual({ ...plain, ...mount })
  })
  test.each([
    '',
    '/a',
    '+',
    '/a:',
    ':/b',
    '::',
    ':::',
    '::/b',
    '/a::',
    '/a:/b:',
    '/a:/b:c',
    '+a:/b',
    ':/a:/b',
  ])('"%s" is refused, as by systemd-nspawn', (text) => {
    expect(() => overlay(text)).toThrow(NspawnError)
  })
})

test.each(['', 'a', '+/a', '/'])('inaccessible "%s" is refused', (text) => {
  expect(() => parseInaccessible(text)).toThrow(NspawnError)
})
