/**
 * The only child of a container that shares the users of the host: with nobody's ids to map, one process can
 * assemble the tree and go on as the container's first, which saves a fork. It is born in the container's pid
 * namespace. A forked process: synchronous, no event loop.
 */
import type { ContainerPlan } from '../plan/plan.ts'
import { CLONE_NEWNS } from '../sys/namespaces.ts'
import { exitProcess } from '../sys/process.ts'
import { assembleTree, beginChild } from './assemble.ts'
import { runInnerChild } from './inner-child.ts'
import { send, sendFailure } from './messages.ts'
import { namespaceFlags } from './namespace-flags.ts'
import type { ContainerSecrets } from './secrets.ts'

/**
 * @param supervisor the child's end of the socket pair to the supervisor
 * @param place an empty directory of the host to mount the root at
 */
export function runSoleChild(
  plan: ContainerPlan,
  supervisor: number,
  place: string,
  secrets: ContainerSecrets,
): never {
  try {
    beginChild()
    const namespaces = CLONE_NEWNS | namespaceFlags(plan, ['uts', 'ipc'])
    const { containerUuid, hierarchies, held } = assembleTree(
      plan,
      supervisor,
      place,
      namespaces,
      secrets,
    )
    send(
      supervisor,
      { kind: 'assembled', leader: undefined, fds: held.map(({ name }) => name) },
      held.map(({ fd }) => fd),
    )
    runInnerChild(plan, { supervisor, outer: undefined, containerUuid, hierarchies })
  } catch (error) {
    sendFailure(supervisor, error)
    exitProcess(1)
  }
}
