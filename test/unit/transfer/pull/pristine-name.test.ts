import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  escapePart,
  findPristine,
  hashedUrl,
  pristineName,
} from '../../../../src/transfer/pull/pristine-name.ts'

const long = `http://example.com/${'a'.repeat(300)}/img.tar.xz`

test('names are those of importd', () => {
  expect(hashedUrl(long)).toBe('870b354ecb7beca')
  expect(hashedUrl('http://example.com/x')).toBe('511c1d5d9471e84a')
  expect(escapePart('http://127.0.0.1:8081/img.tar.gz?x=1#frag')).toBe(
    'http:\\x2f\\x2f127\\x2e0\\x2e0\\x2e1:8081\\x2fimg\\x2etar\\x2egz?x=1\\x23frag',
  )
  expect(escapePart('W/"a.b"')).toBe('W\\x2f\\x22a\\x2eb\\x22')
  expect(pristineName('/var/lib/machines', 'tar', 'http://example.com/img.tar.xz', '"21d0"')).toBe(
    '.tar-http:\\x2f\\x2fexample\\x2ecom\\x2fimg\\x2etar\\x2exz.\\x2221d0\\x22',
  )
})

test('copies are found again by their URL, those of long ones and of weak tags too', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pristine-'))
  try {
    const short = 'http://example.com/x'
    for (const [url, etag] of [
      [short, '"1"'],
      [short, 'W/"2"'],
      [long, '"3"'],
    ] as const) {
      mkdirSync(join(directory, pristineName(directory, 'tar', url, etag) as string))
    }
    writeFileSync(join(directory, `${pristineName(directory, 'raw', short, '"4"')}.raw`), '')
    const tags = (kind: 'tar' | 'raw', url: string) =>
      findPristine(directory, kind, url)
        .map(({ etag }) => etag)
        .toSorted()
    expect(tags('tar', short)).toEqual(['"1"', 'W/"2"'])
    expect(tags('tar', long)).toEqual(['"3"'])
    expect(tags('raw', short)).toEqual(['"4"'])
    expect(tags('raw', long)).toEqual([])
    expect(tags('tar', 'http://example.com/')).toEqual([])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('a tag too long for a name makes none', () => {
  expect(pristineName('/x', 'tar', 'http://h/', `"${'e'.repeat(240)}"`)).toBeUndefined()
})
