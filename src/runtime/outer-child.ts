/**
 * The outer child, of containers with users of their own: with the host's privileges it assembles the tree, starts
 * the inner child in the container's namespaces, maps its ids, and stays until that one has mounted what needs help
 * from outside. A forked process: synchronous, it ends by `exitProcess()`.
 */
import { mkdirSync, rmdirSync } from 'node:fs'
import type { ContainerPlan, UsersPlan } from '../plan/plan.ts'
import { close, packetSocketPair, receiveMessage, sendMessage } from '../sys/fd.ts'
import { forkChildWithHeap } from '../sys/fork.ts'
import {
  mount,
  tryUnmount,
  unmount,
  MNT_DETACH,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
} from '../sys/mount.ts'
import { writeIdMaps, CLONE_NEWNS } from '../sys/namespaces.ts'
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
export function runOuterChild(
  plan: ContainerPlan,
  users: UsersPlan,
  supervisor: number,
  place: string,
  secrets: ContainerSecrets,
): never {
  try {
    beginChild()
    const { containerUuid, hierarchies, held } = assembleTree(
      plan,
      supervisor,
      place,
      CLONE_NEWNS,
      secrets,
    )
    pinProcAndSysfs()
    const [fromInner, toOuter] = packetSocketPair()
    const leader = forkChildWithHeap(
      CLONE_NEWNS | namespaceFlags(plan, ['user', 'pid', 'uts', 'ipc']),
    )
    if (leader === 0) {
      close(fromInner)
      runInnerChild(plan, { supervisor, outer: toOuter, containerUuid, hierarchies })
    }
    close(toOuter)
    const map = [{ inside: 0, outside: users.base, length: users.length }]
    writeIdMaps(leader, map, '/run/host/proc')
    sendMessage(fromInner, Buffer.from('mapped'))
    send(
      supervisor,
      { kind: 'assembled', leader, fds: held.map(({ name }) => name) },
      held.map(({ fd }) => fd),
    )
    // One message when everything is mounted; end of file when the inner child failed, which it reports itself.
    receiveMessage(fromInner)
    unpinProcAndSysfs()
    exitProcess(0)
  } catch (error) {
    sendFailure(supervisor, error)
    exitProcess(1)
  }
}

/**
 * The kernel lets a user namespace mount proc and sysfs only where a full one is in sight already. They are taken
 * away again once the inner child has its own.
 */
function pinProcAndSysfs(): void {
  for (const fstype of ['proc', 'sys']) {
    const target = `/run/host/${fstype}`
    mkdirSync(target, { mode: 0o755 })
    mount({
      source: fstype === 'sys' ? 'sysfs' : 'proc',
      target,
      fstype: fstype === 'sys' ? 'sysfs' : 'proc',
      flags: MS_NOSUID | MS_NODEV | MS_NOEXEC,
    })
  }
}

function unpinProcAndSysfs(): void {
  for (const target of ['/run/host/proc', '/run/host/sys']) {
    if (!tryUnmount(target)) unmount(target, MNT_DETACH)
    rmdirSync(target)
  }
}
