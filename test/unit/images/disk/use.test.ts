import { describe, expect, test } from 'vitest'
import type { DiskLayout, DiskPartition } from '../../../../src/images/disk/dissect.ts'
import { dashed } from '../../../../src/images/disk/guid.ts'
import { decideUse, type Integrity } from '../../../../src/images/disk/use.ts'
import {
  defaultImagePolicy,
  parseImagePolicy,
} from '../../../../src/settings/values/image-policy.ts'

const hash = '00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef'
const [dataId, hashesId] = [dashed(hash.slice(0, 32)), dashed(hash.slice(32))]
const signature = { der: Buffer.from('x'), from: 'file' } as const

let count = 0
function part(
  designator: DiskPartition['designator'],
  more: Partial<DiskPartition> = {},
): DiskPartition {
  const number = ++count
  const system = /^(root|usr)/.test(designator ?? '')
  return {
    ...{ number, designator, architecture: system ? 'x86-64' : undefined, type: undefined },
    ...{ id: dashed(String(number).padStart(32, '0')), label: undefined, offset: number << 20 },
    ...{ sizeBytes: 1 << 20, readOnly: false, grow: false, noAuto: false, content: 'ext4' },
    ...more,
  }
}

const layout = (...partitions: readonly DiskPartition[]): DiskLayout => ({
  ...{ table: 'gpt', id: undefined, sizeBytes: 1 << 30, partitions },
})

const decide = (disk: DiskLayout, policy = '', integrity?: Partial<Integrity>) =>
  decideUse(disk, {
    policy: policy === '' ? defaultImagePolicy : parseImagePolicy(policy),
    architectures: ['x86-64', 'x86'],
    integrity:
      integrity === undefined
        ? undefined
        : { of: 'root', hash, signature: undefined, dataFile: undefined, ...integrity },
  })

const protectionOfRoot = (...words: Parameters<typeof decide>) =>
  decide(...words).used.find(({ designator }) => designator === 'root')?.protection

describe('what is used of an image', () => {
  test('root, /usr and the others in the order in which they are mounted', () => {
    const all = ['esp', 'xbootldr', 'tmp', 'var', 'srv', 'home', 'usr', 'root', 'swap'] as const
    const { used } = decide(layout(...all.map((one) => part(one)), part(undefined)))
    expect(used.map(({ designator }) => designator)).toEqual([
      ...['root', 'usr', 'home', 'srv', 'var', 'tmp', 'xbootldr', 'esp'],
    ])
  })

  test('this architecture before the second, and any where there is neither', () => {
    const [own, second, far] = [
      part('root'),
      part('root', { architecture: 'x86' }),
      part('root', { architecture: 's390x' }),
    ]
    const first = (...parts: readonly DiskPartition[]) =>
      decide(layout(...parts)).used[0]?.partition.number
    expect(first(far, second, own)).toBe(own.number)
    expect(first(far, second)).toBe(second.number)
    expect(first(far)).toBe(far.number)
  })

  test('the partitions that a root hash names, and nothing in their place', () => {
    const named = part('root', { id: dataId })
    const hashes = part('root-verity', { id: hashesId, content: 'DM_verity_hash' })
    const others = [part('root', { label: 'z' }), part('root-verity')]
    const { used, notices } = decide(layout(...others, named, hashes), '', {})
    expect(used).toMatchObject([
      { partition: named, protection: { kind: 'verity', hash, hashes: { number: hashes.number } } },
    ])
    expect(notices).toEqual([])
    expect(() => decide(layout(...others, hashes), '', {})).toThrow(
      'no root partition with that hash',
    )
    expect(() => decide(layout(named, ...others), '', {})).toThrow(
      'no verity data for that root hash',
    )
  })

  test('hashes that nobody asks for are told of', () => {
    const { used, notices } = decide(layout(part('root'), part('root-verity')))
    expect(used[0]?.protection).toEqual({ kind: 'none' })
    expect(notices).toHaveLength(1)
  })

  test('hashes in a file belong to an image that is one file system', () => {
    const bare = { ...layout(part('root', { number: 0, id: undefined })), table: 'none' } as const
    expect(protectionOfRoot(bare, '', { dataFile: '/x.verity' })).toMatchObject({
      kind: 'verity',
      hashes: '/x.verity',
    })
  })

  test('a signature where it may count, and what holds without one', () => {
    const disk = layout(
      part('root', { id: dataId }),
      part('root-verity', { id: hashesId }),
      part('root-verity-sig'),
    )
    expect(protectionOfRoot(disk, '', { signature })).toMatchObject({
      signature,
      unsigned: 'allowed',
    })
    expect(protectionOfRoot(disk, 'root=signed', { signature })).toMatchObject({
      unsigned: 'refused',
    })
    expect(protectionOfRoot(disk, 'root=verity', { signature })).toMatchObject({
      signature: undefined,
    })
    expect(protectionOfRoot(disk, 'root=unprotected', { signature })).toEqual({ kind: 'none' })
    expect(() => decide(disk, 'root=signed', {})).toThrow('is not protected as the policy wants it')
    expect(() => decide(disk, 'root=signed')).toThrow('is not protected as the policy wants it')
  })

  test('a root under verity has no separate /usr', () => {
    const disk = layout(
      part('root', { id: dataId }),
      part('root-verity', { id: hashesId }),
      part('usr'),
    )
    expect(() => decide(disk, '', {})).toThrow('there is a separate /usr')
  })

  test('encryption is opened only where the policy says so', () => {
    const disk = layout(part('root'), part('home', { content: 'crypto_LUKS' }))
    expect(decide(disk).used[1]?.protection).toEqual({ kind: 'encrypted' })
    expect(() => decide(disk, 'root=open:home=unprotected')).toThrow('is encrypted')
    expect(decide(disk, 'root=open:home=unprotected+unused').used).toHaveLength(1)
  })

  test('swap may be forbidden, too', () => {
    const disk = layout(part('root'), part('swap', { content: 'swap' }))
    expect(decide(disk).used).toHaveLength(1)
    expect(() => decide(disk, 'root=open:swap=absent')).toThrow('its swap partition')
  })

  test('without root and /usr there is nothing to start', () => {
    expect(() => decide(layout(part('home')))).toThrow('has no root partition')
    expect(() => decide(layout())).toThrow('has no root partition')
    expect(() => decide(layout(part('linux-generic'), part('linux-generic')))).toThrow('several')
    expect(decide(layout(part('linux-generic'))).used[0]?.designator).toBe('root')
  })
})
