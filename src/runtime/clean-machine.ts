/** What a killed run of one machine left on the host is taken away, and nothing is started (`--cleanup`). */
import { dirname } from 'node:path'
import { removeStaleEphemerals } from '../images/ephemeral.ts'
import { lockImage } from '../images/lock.ts'
import { machineNameForRoot } from '../images/names.ts'
import type { Settings } from '../settings/settings.ts'
import { removeStaleGroups } from './cgroup.ts'
import { removeStaleLimits } from './resource-control.ts'
import { requireRoot, type ContainerContext } from './container.ts'
import { gatherHostFacts } from './host.ts'
import { TEMPORARY_DIRECTORY } from './made-host-changes.ts'
import { locateTree } from './locate-tree.ts'
import { requireThere } from './prepare.ts'
import { removeStaleNetworks } from './network/stale.ts'
import { removeStalePropagateDirectories } from './propagate.ts'

/** @throws NspawnError `EBUSY` while the tree is in use */
export async function cleanMachine(settings: Settings, context: ContainerContext): Promise<void> {
  requireRoot()
  const { path, kind } = locateTree(settings, context.machinesDirectory)
  requireThere(path, path)
  const machine = settings.machine ?? machineNameForRoot(path, kind)
  const lock = settings.tuning.lockImages ? lockImage(path, 'exclusive') : undefined
  try {
    removeStalePropagateDirectories(machine)
    removeStaleNetworks()
    const { layout, hierarchies } = gatherHostFacts(context).cgroup
    removeStaleGroups(layout)
    removeStaleLimits(hierarchies)
    for (const directory of [dirname(path), TEMPORARY_DIRECTORY]) {
      removeStaleEphemerals(directory, context.log)
    }
  } finally {
    lock?.release()
  }
}
