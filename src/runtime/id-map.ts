/** Which ids on disk become which ids of the container, for id-mapped mounts. */
import type { IdMapLine } from '../sys/namespaces.ts'

/** UID 2^31−2 on disk stands for what the host's root makes in the tree, so that it has an owner. */
const HOST_ROOT_ON_DISK = 2147483646

/** Owners of trees that belong to nobody of the host (systemd's "Users, Groups, UIDs and GIDs", foreign UIDs). */
export const FOREIGN_BASE = 0x7ffe0000
const FOREIGN_LENGTH = 0x10000

/** Whether an owner on disk lies in the foreign range. */
export function isForeign(owner: number): boolean {
  return owner >= FOREIGN_BASE && owner < FOREIGN_BASE + FOREIGN_LENGTH
}

/**
 * On-disk owners from `first` on become the container's (systemd-nspawn(1), `--private-users-ownership=map`).
 *
 * @param first 0, or the first foreign id, which has no more than 65536 of them
 */
export function idMapLines(
  users: { readonly base: number; readonly length: number },
  first = 0,
): IdMapLine[] {
  const length = first === 0 ? users.length : Math.min(users.length, FOREIGN_LENGTH)
  return [
    { inside: first, outside: users.base, length },
    ...(users.base === 0 ? [] : [{ inside: HOST_ROOT_ON_DISK, outside: 0, length: 1 }]),
  ]
}
