import { describe, expect, test } from 'vitest'
import {
  aptOrigins,
  knownToIndexes,
  parseUris,
} from '../../../../src/build/installers/apt-origins.ts'

const hash = 'b'.repeat(64)
const show = (name: string, more: readonly string[] = []) => [
  `Package: ${name}`,
  'Version: 1:2+b1',
  'Architecture: amd64',
  ...more,
  'Description: one',
  ' Filename: not a field',
  '',
]
const uri = (name: string) =>
  `'http://archive.example/pool/${name}_2%2bb1_amd64.deb' ${name}_1%3a2+b1_amd64.deb 53080 SHA256:${hash}`

describe("apt's account of packages", () => {
  test('tells those of an archive from those that dpkg alone knows', () => {
    const lines = [...show('hello', ['Filename: pool/hello.deb']), ...show('own')]
    expect([...knownToIndexes(lines)]).toEqual(['hello 1:2+b1 amd64'])
  })

  test('has place, size and hash by the version that dpkg says', () => {
    expect(parseUris([uri('hello'), "'http://x/y_1_all.deb' y_1_all.deb 5 MD5Sum:abc"])).toEqual(
      new Map([
        [
          'hello 1:2+b1 amd64',
          {
            url: 'http://archive.example/pool/hello_2%2bb1_amd64.deb',
            sizeBytes: 53080,
            sha256: hash,
          },
        ],
      ]),
    )
  })

  test('is asked for, and apt is not asked where the unknown come from', async () => {
    const asked: (readonly string[])[] = []
    const one = (name: string, architecture = 'amd64') => ({
      name,
      version: '1:2+b1',
      architecture,
    })
    const origins = await aptOrigins([one('hello'), one('own'), one('data', 'all')], {
      ask: async (words) => {
        asked.push(words)
        return words[0] === 'apt-cache'
          ? [...show('hello', ['Filename: x']), ...show('own')]
          : [uri('hello')]
      },
    })
    expect(origins.map((found) => found?.sizeBytes)).toEqual([53080, undefined, undefined])
    expect(asked[0]?.slice(2)).toEqual(['hello:amd64=1:2+b1', 'own:amd64=1:2+b1', 'data=1:2+b1'])
    expect(asked[1]?.slice(-2)).toEqual(['download', 'hello:amd64=1:2+b1'])
  })
})
