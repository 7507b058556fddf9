import { describe, expect, test } from 'vitest'
import {
  archiveDifferences,
  textDifference,
} from '../../../../src/build/reproducible/differences.ts'
import type { ArchiveMember, Listing } from '../../../../src/build/reproducible/listing.ts'

const member = (change: Partial<ArchiveMember> = {}): ArchiveMember => ({
  kind: 'file',
  mode: '0644',
  owner: '0:0',
  modified: '2000-01-01T00:00:00.000Z',
  link: '',
  sizeBytes: 3,
  sha256: 'a',
  ...change,
})
const listing = (members: Readonly<Record<string, ArchiveMember>>): Listing =>
  new Map(Object.entries(members))

describe('two archives', () => {
  test('differ by members, and these by what describes them', () => {
    const first = listing({ a: member(), b: member(), c: member() })
    const second = listing({
      a: member({ mode: '0664', owner: '0:5' }),
      c: member({ sha256: 'b', sizeBytes: 4 }),
      d: member(),
    })
    expect(archiveDifferences(first, second)).toEqual([
      'a: mode 0644 and 0664',
      'a: owner 0:0 and 0:5',
      'b: only the first one has it',
      'c: other content, 3 and 4 bytes',
      'd: only the second one has it',
    ])
  })

  test('show the first line that differs in a text', () => {
    const first = listing({ a: member({ sha256: 'x', text: 'same\nbuilt in May\n' }) })
    const second = listing({ a: member({ sha256: 'y', text: 'same\nbuilt in June\n' }) })
    expect(archiveDifferences(first, second)).toEqual([
      'a: line 2 differs',
      'a: - built in May',
      'a: + built in June',
    ])
  })

  test('with the same members are in another order, or packed otherwise', () => {
    const [ab, ba] = [listing({ a: member(), b: member() }), listing({ b: member(), a: member() })]
    expect(archiveDifferences(ab, ba)).toEqual(['the members are the same, but in another order'])
    expect(archiveDifferences(ab, ab)[0]).toMatch(/compressed or framed otherwise/)
  })

  test('never send commands to a terminal, nor fill it', () => {
    const [line = ''] = archiveDifferences(listing({ 'a\u001b[2J\n': member() }), listing({}))
    expect(line).toBe('a\ufffd[2J\ufffd: only the first one has it')
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, member()]))
    const lines = archiveDifferences(listing(many), listing({}))
    expect(lines).toHaveLength(201)
    expect(lines.at(-1)).toBe('and 300 more')
    expect(textDifference('x'.repeat(1000), 'y')[1]).toHaveLength(163)
  })
})

test('a text that goes on differs where the other one ends', () => {
  expect(textDifference('a\nb', 'a\nb\nc')).toEqual(['line 3 differs', '- (its end)', '+ c'])
})
