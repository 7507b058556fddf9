import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseReference } from '../../../../src/transfer/oci/reference.ts'
import { isLoopback, locateImage } from '../../../../src/transfer/oci/registry-files.ts'

let top: string
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'registry-files-'))
  mkdirSync(join(top, 'etc'))
  mkdirSync(join(top, 'usr'))
})
afterEach(() => rmSync(top, { recursive: true, force: true }))

const put = (name: string, content: unknown) =>
  writeFileSync(
    join(top, `${name}.oci-registry`),
    typeof content === 'string' ? content : JSON.stringify(content),
  )
const locate = (text: string, transport: 'secure' | 'plain' = 'secure') =>
  locateImage(parseReference(text), transport, [join(top, 'etc'), join(top, 'usr')])

describe('without registry files', () => {
  test('a reference means what it says, over https', () => {
    expect(locate('registry.example:5000/a/web:1')).toEqual({
      protocol: 'https',
      server: 'registry.example:5000',
      registry: 'registry.example:5000',
      image: 'a/web',
      tag: '1',
      digest: undefined,
    })
  })

  test('no registry is docker.io, whose own images may be named by one word', () => {
    expect(locate('web')).toMatchObject({
      registry: 'docker.io',
      server: 'registry-1.docker.io',
      image: 'library/web',
      tag: 'latest',
    })
    expect(locate('docker.io/web')).toEqual(locate('web'))
    expect(locate('some/web').image).toBe('some/web')
  })

  test('this host is spoken to over http, all others only when it is asked for', () => {
    expect(locate('localhost:5000/web').protocol).toBe('http')
    expect(locate('127.1.2.3/web').protocol).toBe('http')
    expect(locate('[::1]:5000/web').protocol).toBe('http')
    expect(locate('registry.example/web').protocol).toBe('https')
    expect(locate('registry.example/web', 'plain').protocol).toBe('http')
  })
})

describe('registry files', () => {
  test('of an image, of a registry, and for the rest; the first directory counts', () => {
    put('usr/image.web', { overrideRegistry: 'usr.example' })
    put('etc/image.web', { overrideRegistry: 'etc.example', overrideImage: 'x/y', defaultTag: '7' })
    put('usr/registry.short.example%3a5000', {
      overrideRegistry: 'long.example',
      defaultProtocol: 'http',
    })
    put('usr/default', { defaultRegistry: 'default.example', shortImagePrefix: 'lib/' })
    expect(locate('web')).toMatchObject({ server: 'etc.example', image: 'x/y', tag: '7' })
    expect(locate('web:8').tag).toBe('8')
    expect(locate('short.example:5000/a')).toMatchObject({
      server: 'long.example',
      protocol: 'http',
      image: 'a',
    })
    expect(locate('other')).toMatchObject({ server: 'default.example', image: 'lib/other' })
    expect(locate('other/one').image).toBe('other/one')
    expect(locate('named.example/one')).toMatchObject({ server: 'named.example', image: 'lib/one' })
  })

  test('slashes in names are escaped', () => {
    put('etc/image.a%2fweb', { overrideRegistry: 'found.example' })
    expect(locate('a/web').server).toBe('found.example')
  })

  test('keys of later versions are passed over', () => {
    put('etc/default', { defaultRegistry: 'default.example', somethingNew: 1 })
    expect(locate('web').server).toBe('default.example')
  })

  test.each([
    ['{', /json|expected/i],
    [{ defaultProtocol: 'ftp' }, /defaultProtocol/],
    [{ overrideRegistry: 'a/b' }, /overrideRegistry: not a registry/],
    [{ overrideImage: '../x' }, /overrideImage: not the name of an image/],
    [{ defaultTag: '/' }, /defaultTag/],
    [{ overrideRegistry: 7 }, /overrideRegistry/],
  ])('a broken one is named and not passed over: %j', (content, why) => {
    put('etc/default', content)
    expect(() => locate('web')).toThrow(
      expect.objectContaining({
        code: 'BAD_REGISTRY_FILE',
        subject: join(top, 'etc/default.oci-registry'),
      }),
    )
    expect(() => locate('web')).toThrow(why)
  })

  test('one that names no registry leaves it to the reference', () => {
    put('etc/default', { defaultTag: 'stable' })
    expect(() => locate('web')).toThrow(/no registry is known for web/)
    expect(locate('named.example/web').tag).toBe('stable')
  })

  test('a prefix that makes no name is refused', () => {
    put('etc/default', { defaultRegistry: 'a.example', shortImagePrefix: '../' })
    expect(() => locate('web')).toThrow(/"..\/web"/)
  })
})

test.each([
  ['127.0.0.1', true],
  ['127.0.0.1:80', true],
  ['localhost', true],
  ['[::1]:80', true],
  ['127.0.0.1.example', false],
  ['localhost.example:80', false],
  ['128.0.0.1', false],
])('%s can only be this host: %s', (server, expected) => {
  expect(isLoopback(server)).toBe(expected)
})
