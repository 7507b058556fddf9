/** The network of a machine that boots: `host0`, its end of the link to the host, is set up by a service of the tree. */
import type { LogSink } from '../../log.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import { customizationFailed } from './failure.ts'

const stub = '../run/systemd/resolve/stub-resolv.conf'

/**
 * Enables systemd-networkd, whose own 80-container-host0.network asks for an address, with systemd-resolved; where
 * there is none, NetworkManager.
 *
 * @param wish `if-possible`: a tree that has neither stays as it is
 * @throws NspawnError `BOOTSTRAP_FAILED`
 */
export async function setUpNetwork(
  tree: TreeInMaking,
  files: TreeFiles,
  wish: 'host0' | 'if-possible',
): Promise<void> {
  const has = (unit: string) =>
    ['/usr/lib/systemd/system', '/lib/systemd/system'].some(
      (directory) => files.stat(`${directory}/${unit}`) !== undefined,
    )
  const units = has('systemd-networkd.service')
    ? ['systemd-networkd.service', 'systemd-resolved.service'].filter(has)
    : ['NetworkManager.service'].filter(has)
  if (units.length === 0) return missing(tree.context.log, wish)
  const { status } = await runInTree(tree, ['systemctl', 'enable', ...units], { network: 'none' })
  if (status !== 0) throw customizationFailed('cannot enable the network', undefined, tree)
  if (
    units.includes('systemd-resolved.service') &&
    files.stat('/etc/resolv.conf', 'keep') === undefined
  )
    files.link(stub, '/etc/resolv.conf')
}

function missing(log: LogSink, wish: 'host0' | 'if-possible'): void {
  if (wish === 'host0') {
    throw customizationFailed(
      'the tree has neither systemd-networkd nor NetworkManager to set up host0',
      'name a package that brings one with --include',
    )
  }
  log({ kind: 'notice', text: 'the tree has no service that sets up its network' })
}
