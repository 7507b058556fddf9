import { expect, test } from 'vitest'
import { aclOfText } from '../../../../src/transfer/tar/acl-text.ts'

/** Tag, permissions and id of each entry. */
function entries(text: string): number[][] | undefined {
  const value = aclOfText(text)
  if (value === undefined) return undefined
  expect(value.readUInt32LE(0)).toBe(2)
  return Array.from({ length: (value.length - 4) / 8 }, (_, i) => [
    value.readUInt16LE(4 + i * 8),
    value.readUInt16LE(6 + i * 8),
    value.readUInt32LE(8 + i * 8),
  ])
}

const none = 0xffffffff

test('ACLs in words become the entries that the kernel takes, in its order', () => {
  const expected = [
    [1, 7, none],
    [2, 6, 0],
    [2, 6, 1000],
    [4, 5, none],
    [8, 4, 33],
    [16, 7, none],
    [32, 0, none],
  ]
  expect(
    entries(
      'user::rwx\nuser:1000:rw-\nuser:root:rw-\ngroup::r-x\ngroup:33:r--\nmask::rwx\nother::---\n',
    ),
  ).toEqual(expected)
  expect(entries('u::rwx,u:joe:rw-:1000,u:0:rw-,g::r-x,g:33:r--,m:rwx,o:---')).toEqual(expected)
  expect(entries('default:user::rwx,default:group::r-x,default:other::---')).toHaveLength(3)
})

test.each(['', 'user', 'user::rwz', 'nobody::rwx', 'user:no-such-user:rwx', 'user::rwx,x'])(
  '%j is none',
  (text) => expect(aclOfText(text)).toBeUndefined(),
)
