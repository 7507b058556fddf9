import { describe, expect, test } from 'vitest'
import { parseDescription } from '../../../../src/build/installers/pacman-origins.ts'

const hash = 'c'.repeat(64)
const description = (fields: Readonly<Record<string, string>>) =>
  Object.entries(fields)
    .map(([title, value]) => `%${title}%\n${value}\n\n`)
    .join('')
const fields = {
  FILENAME: 'a-1:2-1-x86_64.pkg.tar.zst',
  NAME: 'a',
  VERSION: '1:2-1',
  CSIZE: '77',
  ISIZE: '99',
  SHA256SUM: hash,
  ARCH: 'x86_64',
  DEPENDS: 'b\nc',
}

describe("an entry of pacman's database", () => {
  test('says name, place, packed size and hash of a package', () => {
    expect(parseDescription(description(fields), 'http://mirror.example/core/')).toEqual({
      name: 'a',
      version: '1:2-1',
      architecture: 'x86_64',
      origin: {
        url: 'http://mirror.example/core/a-1%3A2-1-x86_64.pkg.tar.zst',
        sizeBytes: 77,
        sha256: hash,
      },
    })
  })

  test.each(['SHA256SUM', 'FILENAME', 'CSIZE', 'NAME'])('is of no use without %s', (title) => {
    const { [title as keyof typeof fields]: _left, ...rest } = fields
    expect(parseDescription(description(rest), 'http://mirror.example')).toBeUndefined()
  })

  test('never leads out of its repository', () => {
    const text = description({ ...fields, FILENAME: '../../x.pkg.tar.zst' })
    expect(parseDescription(text, 'http://mirror.example')).toBeUndefined()
  })
})
