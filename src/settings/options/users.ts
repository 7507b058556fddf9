/** Options for users of the host who are brought into the container. */
import { usageError } from '../../errors.ts'
import type { Option } from '../option.ts'
import { booleanWord } from '../values/boolean.ts'
import { requireAbsolute } from '../values/path.ts'
import { isAccountName } from '../values/account-name.ts'

export const userOptions: readonly Option[] = [
  {
    name: 'bind-user',
    value: 'required',
    placeholder: 'NAME',
    section: 'Mounts',
    group: 'bind-user',
    keys: [['Files', 'BindUser']],
    help: 'Let a user of the host, with the home directory, into the container',
    details:
      'Repeatable. The container finds the user and the user’s group in `/run/host/userdb` (its nss-systemd reads that), with the password of the host and the first free ID from 60514 to 60577, and the home directory in `/run/host/home`, where the owner’s files belong to that ID. Neither root nor nobody, only users with a group of their own name, and not where the tree has such a user or group.',
    differs:
      'The home directory is an ID-mapped mount, which its file system must allow, as in the newest systemd-nspawn; 252 puts a hole into the ID map of the container instead, and so insists on `--private-users=`.',
    read: (draft, text) => {
      if (!isAccountName(text)) throw usageError(`"${text}" cannot name a user`)
      const { bindUsers } = draft.settings
      draft.settings.bindUsers = { ...bindUsers, names: [...new Set([...bindUsers.names, text])] }
    },
  },
  {
    name: 'bind-user-shell',
    value: 'required',
    placeholder: 'BOOLEAN|PATH',
    section: 'Mounts',
    group: 'bind-user',
    keys: [['Files', 'BindUserShell']],
    help: 'Shell of users brought in: that of the host (yes), or this one',
    fallback: '`no`: the container’s own default',
    details: 'Needs `--bind-user=`.',
    differs: '252 does not know it.',
    read: (draft, text) => {
      const truth = booleanWord(text)
      const shell =
        truth === undefined
          ? ({ kind: 'path', path: requireAbsolute(text, 'the shell') } as const)
          : ({ kind: truth ? 'host' : 'none' } as const)
      draft.settings.bindUsers = { ...draft.settings.bindUsers, shell }
    },
  },
  {
    name: 'bind-user-group',
    value: 'required',
    placeholder: 'GROUP',
    section: 'Mounts',
    group: 'bind-user',
    help: 'Make users brought in members of this group of the container',
    details: 'Repeatable. Needs `--bind-user=`.',
    differs: '252 does not know it.',
    read: (draft, text) => {
      if (!isAccountName(text)) throw usageError(`"${text}" cannot name a group`)
      const { bindUsers } = draft.settings
      draft.settings.bindUsers = {
        ...bindUsers,
        groups: [...new Set([...bindUsers.groups, text])],
      }
    },
  },
]
