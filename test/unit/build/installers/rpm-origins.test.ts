import { expect, test } from 'vitest'
import { parseEntry } from '../../../../src/build/installers/rpm-origins.ts'

const sha256 = 'a'.repeat(64)
const entry = (change: Readonly<Record<string, string>> = {}) => {
  const {
    checksum = `<checksum type="sha256" pkgid="YES">${sha256}</checksum>`,
    version = '<version epoch="0" ver="1.2" rel="3.fc43"/>',
    location = '<location href="packages/l/libstdc++-1.2.rpm"/>',
  } = change
  return `
<package type="rpm">
  <name>libstdc++</name>
  <arch>x86_64</arch>
  ${version}
  ${checksum}
  <summary>A &lt;b&gt;</summary>
  <size package="1234" installed="5678" archive="0"/>
  ${location}
  <format>
    <rpm:provides><rpm:entry name="other" flags="EQ" epoch="0" ver="9" rel="9"/></rpm:provides>
  </format>`
}

test('an entry of an index says what the package is, and where it lies', () => {
  expect(parseEntry(entry(), 'https://mirror.example.org/os/')).toEqual({
    name: 'libstdc++',
    version: '1.2-3.fc43',
    architecture: 'x86_64',
    origin: {
      url: 'https://mirror.example.org/os/packages/l/libstdc%2B%2B-1.2.rpm',
      sizeBytes: 1234,
      sha256,
    },
  })
})

test('an epoch is a part of the version, and an entry may have another place', () => {
  const version = '<version epoch="2" ver="1" rel="1"/>'
  const location = '<location xml:base="https://other.example.org/" href="a&amp;b.rpm"/>'
  expect(parseEntry(entry({ version, location }), 'https://mirror.example.org')).toMatchObject({
    version: '2:1-1',
    origin: { url: 'https://other.example.org/a%26b.rpm' },
  })
})

test('an entry with another digest is of no use for a lock', () => {
  const checksum = '<checksum type="sha512" pkgid="YES">abc</checksum>'
  expect(parseEntry(entry({ checksum }), 'https://mirror.example.org')).toBeUndefined()
})
