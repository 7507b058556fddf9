import { describe, expect, test } from 'vitest'
import {
  defaultImagePolicy,
  parseImagePolicy,
  policyFor,
  policyUses,
} from '../../../../src/settings/values/image-policy.ts'
import { parseRootHash, parseRootHashSignature } from '../../../../src/settings/values/root-hash.ts'

const uses = (text: string, partition: Parameters<typeof policyFor>[1]) =>
  policyFor(parseImagePolicy(text), partition).uses.toSorted()

describe('an image policy', () => {
  test('has a rule for each partition that it names, and one for all others', () => {
    const text = 'root=verity+signed:home=:=absent'
    expect(uses(text, 'root')).toEqual(['signed', 'verity'])
    expect(uses(text, 'home')).toEqual(policyUses.toSorted())
    expect(uses(text, 'srv')).toEqual(['absent'])
    expect(uses('root=open', 'srv')).toEqual(['absent', 'unused'])
    expect(uses('*', 'srv')).toEqual(policyUses.toSorted())
    expect(uses('-', 'srv')).toEqual(['absent', 'unused'])
    expect(uses('~', 'srv')).toEqual(['absent'])
  })

  test('allows hashes and signatures where it allows what they are for', () => {
    expect(uses('root=verity', 'root-verity')).toContain('unprotected')
    expect(uses('root=verity', 'root-verity')).not.toContain('absent')
    expect(uses('root=verity+unprotected', 'root-verity')).toContain('absent')
    expect(uses('root=unprotected', 'root-verity')).toEqual(['absent', 'unused'])
    expect(uses('root=verity', 'root-verity-sig')).toEqual(['absent', 'unused'])
    expect(uses('root=signed', 'root-verity-sig')).toEqual(['unprotected'])
    expect(uses('root=signed:root-verity-sig=absent', 'root-verity-sig')).toEqual(['absent'])
  })

  test('can demand marks of partitions', () => {
    const rule = (text: string) => policyFor(parseImagePolicy(text), 'root')
    expect(rule('root=read-only-on+growfs-off')).toMatchObject({ readOnly: true, grow: false })
    expect(rule('root=read-only-on').uses).toEqual(policyUses)
    expect(rule('root=read-only-on+read-only-off')).toMatchObject({ readOnly: undefined })
  })

  test('is by default what systemd-nspawn has', () => {
    expect(policyFor(defaultImagePolicy, 'home').uses).toEqual([
      'encrypted',
      'unprotected',
      'absent',
    ])
    expect(policyFor(defaultImagePolicy, 'swap').uses).toEqual(['unused', 'absent'])
  })

  test.each([
    ['root', 'not PARTITION=FLAGS'],
    ['rot=open', 'did you mean root?'],
    ['root=verty', 'did you mean verity?'],
    ['root=open:root=open', 'two rules for root'],
    ['=open:=open', 'two defaults'],
    ['root=open:', 'not PARTITION=FLAGS'],
  ])('%s is refused', (text, words) => {
    const said = () => {
      try {
        parseImagePolicy(text)
        return ''
      } catch (error) {
        const { message, hint } = error as { message: string; hint?: string }
        return `${message}; ${hint ?? ''}`
      }
    }
    expect(said()).toContain(words)
  })
})

test('a root hash is hexadecimal digits of 16 bytes at least', () => {
  expect(parseRootHash('AB'.repeat(16))).toBe('ab'.repeat(16))
  for (const text of ['', 'ab', 'ab'.repeat(15), 'xy'.repeat(16), `${'ab'.repeat(16)}a`])
    expect(() => parseRootHash(text)).toThrow(/root hash/)
})

test('its signature is a file or the bytes themselves', () => {
  expect(parseRootHashSignature('sig.p7s', '/home')).toEqual({
    kind: 'file',
    path: '/home/sig.p7s',
  })
  expect(parseRootHashSignature('base64:AAEC', '/')).toEqual({ kind: 'value', base64: 'AAEC' })
  for (const text of ['base64:', 'base64:A', 'base64:!!!!'])
    expect(() => parseRootHashSignature(text, '/')).toThrow('not base64')
})
