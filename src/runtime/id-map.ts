/** Which ids on disk become which ids of the container, for id-mapped mounts. */
import type { IdMapLine } from '../sys/namespaces.ts'

/** UID 2^31−2 on disk stands for what the host's root makes in the tree, so that it has an owner. */
const HOST_ROOT_ON_DISK = 2147483646

/** On-disk owners from 0 become the container's (systemd-nspawn(1), `--private-users-ownership=map`). */
export function idMapLines(users: { readonly base: number; readonly length: number }): IdMapLine[] {
  return [
    { inside: 0, outside: users.base, length: users.length },
    ...(users.base === 0 ? [] : [{ inside: HOST_ROOT_ON_DISK, outside: 0, length: 1 }]),
  ]
}
