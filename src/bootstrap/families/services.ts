/** Debian's scripts of packages start services, even in a tree where nothing runs; others ask systemctl, which knows. */
import type { TreeFiles } from '../tree-files.ts'

const policy = '/usr/sbin/policy-rc.d'

/** Keeps services from starting while `work` lasts, unless the tree says itself what may start. */
export async function withServicesDown<T>(files: TreeFiles, work: () => Promise<T>): Promise<T> {
  const isDebian = files.stat('/var/lib/dpkg/status') !== undefined
  if (!isDebian || files.stat(policy, 'keep') !== undefined) return work()
  files.write(policy, '#!/bin/sh\nexit 101\n', 0o755)
  try {
    return await work()
  } finally {
    files.remove(policy)
  }
}
