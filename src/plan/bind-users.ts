/** Users of the host who are brought into a container: what the outer child has to know of them. */
import type { Settings } from '../settings/settings.ts'
import type { Step } from './plan.ts'

export interface HostUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
  /** Absolute, on the host. */
  readonly home: string
  readonly shell: string | undefined
}

/** Which ids of the container such users may get (systemd's "Users, Groups, UIDs and GIDs"). */
export const BOUND_IDS = { first: 60514, last: 60577 } as const

/** Where the container looks for users that its own databases do not have (container interface). */
export const USER_RECORDS = '/run/host/userdb'
export const HOME_DIRECTORIES = '/run/host/home'

/** The step for `--bind-user=`, none without. */
export function bindUserSteps(
  { shell, groups }: Settings['bindUsers'],
  users: readonly HostUser[],
): Step[] {
  if (users.length === 0) return []
  const shellOf = (user: HostUser): string | undefined => {
    switch (shell.kind) {
      case 'none':
        return undefined
      case 'host':
        return user.shell
      case 'path':
        return shell.path
    }
  }
  return [
    { kind: 'bind-users', users: users.map((user) => ({ ...user, shell: shellOf(user) })), groups },
  ]
}
