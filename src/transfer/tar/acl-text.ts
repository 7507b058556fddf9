/** ACLs in the text form that archives hold, as the attribute's bytes that the kernel takes. */
import { readIfThere } from '../../read-if-there.ts'

/* <linux/posix_acl_xattr.h>, <linux/posix_acl.h> */
const VERSION = 2
const NO_ID = 0xffffffff
const tags = { user: 0x01, group: 0x04, mask: 0x10, other: 0x20 }
const namedTags = { user: 0x02, group: 0x08 }
const kinds: Readonly<Record<string, 'user' | 'group' | 'mask' | 'other'>> = {
  user: 'user',
  u: 'user',
  group: 'group',
  g: 'group',
  mask: 'mask',
  m: 'mask',
  other: 'other',
  o: 'other',
}

/**
 * The value of a `system.posix_acl_…` attribute.
 *
 * @param text entries with commas or lines: `user:1000:rw-`; star adds the id at the end: `user:joe:rw-:1000`
 * @returns undefined when the text is none, or names a user that this host does not know
 * @see acl(5), "ACL TEXT FORMS"
 */
export function aclOfText(text: string): Buffer | undefined {
  const entries: { tag: number; permissions: number; id: number }[] = []
  for (const line of text.split(/[\n,]/)) {
    const [entry] = line.split('#')
    const fields = (entry ?? '')
      .trim()
      .replace(/^(?:default|d):/, '')
      .split(':')
    if (fields.length === 1 && fields[0] === '') continue
    const kind = kinds[fields[0] ?? '']
    if (kind === undefined) return undefined
    // `mask:rwx` and `other:r-x` may leave out the empty field.
    const [, name = '', permissions = '', id] = fields.length === 2 ? [kind, '', fields[1]] : fields
    const bits = permissionBits(permissions)
    if (bits === undefined) return undefined
    if (name === '' || kind === 'mask' || kind === 'other') {
      entries.push({ tag: tags[kind], permissions: bits, id: NO_ID })
      continue
    }
    const who = numeric(id) ?? numeric(name) ?? idOnHost(kind, name)
    if (who === undefined) return undefined
    entries.push({ tag: namedTags[kind], permissions: bits, id: who })
  }
  if (entries.length === 0) return undefined
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id)
  const value = Buffer.alloc(4 + entries.length * 8)
  value.writeUInt32LE(VERSION, 0)
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + i * 8)
    value.writeUInt16LE(permissions, 6 + i * 8)
    value.writeUInt32LE(id, 8 + i * 8)
  }
  return value
}

function permissionBits(text: string): number | undefined {
  if (!/^[r-][w-][x-]$/.test(text)) return undefined
  return (text[0] === 'r' ? 4 : 0) | (text[1] === 'w' ? 2 : 0) | (text[2] === 'x' ? 1 : 0)
}

function numeric(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined
}

/** What tar does too: archives have names here where the packing host had them. */
function idOnHost(kind: 'user' | 'group', name: string): number | undefined {
  const lines = readIfThere(kind === 'user' ? '/etc/passwd' : '/etc/group').split('\n')
  const found = lines.map((line) => line.split(':')).find(([known]) => known === name)
  return numeric(found?.[2])
}
