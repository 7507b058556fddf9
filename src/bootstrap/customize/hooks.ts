/** Programs of the user's that change a tree from inside, each in a container of it. */
import { basename } from 'node:path'
import { withServicesDown } from '../families/services.ts'
import type { TreePlan } from '../plan.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import { hookPath } from './customization.ts'
import { customizationFailed } from './failure.ts'
import { withHostResolver } from './resolver.ts'

const directory = '/run/tsnspawn-hook'

/**
 * Runs the hooks one after another, as root of the tree.
 *
 * @throws NspawnError `BOOTSTRAP_FAILED` when one of them fails
 */
export async function runHooks(
  tree: TreeInMaking,
  files: TreeFiles,
  plan: TreePlan,
  templates: string,
): Promise<void> {
  const { hooks, hookNetwork } = plan.customization
  const environment = {
    HOME: '/root',
    TSNSPAWN_NAME: plan.name,
    TSNSPAWN_RECIPE: plan.recipe,
    TSNSPAWN_RELEASE: plan.release,
    TSNSPAWN_ARCHITECTURE: plan.packageArchitecture,
    TSNSPAWN_PURPOSE: plan.purpose,
  }
  for (const hook of hooks) {
    const source = hookPath(hook, templates)
    const destination = `${directory}/${basename(source)}`
    tree.context.log({ kind: 'step', text: `running the hook ${source}` })
    const run = () =>
      runInTree(tree, [destination], {
        network: hookNetwork,
        environment,
        binds: [{ source, destination }],
      })
    const { status } = await withServicesDown(files, () =>
      hookNetwork === 'host' ? withHostResolver(files, run) : run(),
    )
    if (status === 0) continue
    throw customizationFailed(
      `the hook ${source} failed with status ${status}`,
      hookNetwork === 'none' ? 'if it needs the network, allow it with --hook-network' : undefined,
      tree,
    )
  }
}
