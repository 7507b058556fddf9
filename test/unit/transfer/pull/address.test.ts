import { expect, test } from 'vitest'
import {
  companionsOf,
  companionUrl,
  lastPart,
  parseImageUrl,
  signaturesOf,
  withoutSuffixes,
} from '../../../../src/transfer/pull/address.ts'

test.each([
  ['deb.tar.xz', 'deb'],
  ['deb.tgz', 'deb'],
  ['deb.txz', 'deb'],
  ['deb.tbz', 'deb'],
  ['deb.tbz2', 'deb'],
  ['deb.tzst', 'deb'],
  ['deb.tar.zst', 'deb'],
  ['a.tar.gz.tar', 'a.tar.gz'],
  ['x.zip', 'x.zip'],
])('the tree archive %s is called %s', (file, name) => {
  expect(withoutSuffixes(file, 'tar')).toBe(name)
})

test.each([
  ['d.raw.xz', 'd'],
  ['d.qcow2', 'd'],
  ['d.img.bin.gz', 'd'],
  ['disk.qcow2.raw.xz', 'disk'],
  ['e.sysext.raw', 'e'],
  ['d.iso', 'd.iso'],
])('the disk image %s is called %s', (file, name) => {
  expect(withoutSuffixes(file, 'raw')).toBe(name)
})

test('companions lie beside the image', () => {
  expect(companionsOf('d.raw.xz', 'raw')).toEqual({
    checksums: ['d.raw.xz.sha256', 'SHA256SUMS'],
    settings: 'd.nspawn',
    rootHash: 'd.roothash',
    rootHashSignature: 'd.roothash.p7s',
    verity: 'd.verity',
  })
  expect(signaturesOf('SHA256SUMS')).toEqual(['SHA256SUMS.gpg', 'SHA256SUMS.asc'])
  expect(signaturesOf('d.raw.sha256')).toEqual(['d.raw.sha256.asc', 'd.raw.sha256.gpg'])
})

test('a token in the query opens the companions too, a fragment is not sent', () => {
  const url = new URL('https://h/p/d.raw.xz?t=1#frag')
  expect(companionUrl(url, 'SHA256SUMS').href).toBe('https://h/p/SHA256SUMS?t=1')
  expect(companionUrl(new URL('https://h/p/d.raw/'), 'd.nspawn').href).toBe('https://h/p/d.nspawn')
})

test.each([
  ['http://h/a/img.tar.xz?x=1', 'img.tar.xz'],
  ['http://h/a/img.tar.xz//', 'img.tar.xz'],
  ['http://h/%20.tar', '%20.tar'],
  ['http://h', ''],
])('the file of %s is %s', (url, file) => {
  expect(lastPart(parseImageUrl(url))).toBe(file)
})

test.each(['ftp://h/x', 'h/x', '/etc/passwd', 'http://', 'http://h/ä'])('%s is refused', (url) => {
  expect(() => parseImageUrl(url)).toThrow(expect.objectContaining({ code: 'USAGE' }))
})
