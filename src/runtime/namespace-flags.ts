/** Namespaces of a plan as CLONE_NEW… flags. */
import type { ContainerPlan } from '../plan/plan.ts'
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../sys/namespaces.ts'

type Namespace = ContainerPlan['namespaces'][number]

const flags: Readonly<Record<Namespace, number>> = {
  ipc: CLONE_NEWIPC,
  pid: CLONE_NEWPID,
  uts: CLONE_NEWUTS,
  user: CLONE_NEWUSER,
  net: CLONE_NEWNET,
  cgroup: CLONE_NEWCGROUP,
}

/** The flags of those in `wanted` that the plan has. */
export function namespaceFlags(plan: ContainerPlan, wanted: readonly Namespace[]): number {
  const here = wanted.filter((name) => plan.namespaces.includes(name))
  return here.reduce((all, name) => all | flags[name], 0)
}
