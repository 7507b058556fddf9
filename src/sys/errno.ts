/** errno numbers of this platform by name (<errno.h>); Node knows them. */
import { constants } from 'node:os'

const names = new Map<number, string>()
for (const [name, number] of Object.entries(constants.errno)) {
  if (!names.has(number) || name === 'EAGAIN' || name === 'EOPNOTSUPP') names.set(number, name)
}

/** The name of an errno value (`2` → `ENOENT`), or `E<number>` when Node has none for it. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? extra.get(errno) ?? `E${errno}`
}

/** Numbers that Node does not list but the calls we make can return. */
const extra = new Map([
  [15, 'ENOTBLK'],
  [112, 'EHOSTDOWN'],
  [117, 'EUCLEAN'],
  [126, 'ENOKEY'],
  [127, 'EKEYEXPIRED'],
  [129, 'EKEYREJECTED'],
])
