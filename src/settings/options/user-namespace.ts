/** Options for the user namespace. */
import type { Option } from '../option.ts'
import type { Ownership } from '../settings.ts'
import { usageError } from '../../errors.ts'
import { parseChoice } from '../values/choice.ts'
import { parseIntegerBetween } from '../values/number.ts'
import { parsePrivateUsers } from '../values/private-users.ts'

const ownerships: readonly Ownership[] = ['off', 'chown', 'map', 'auto']

export const userNamespaceOptions: readonly Option[] = [
  {
    name: 'private-users',
    value: 'optional',
    placeholder: 'MODE',
    section: 'User namespacing',
    group: 'user-namespace',
    keys: [['Exec', 'PrivateUsers']],
    help: 'User namespace: no, yes, pick, identity, or BASE[:COUNT]',
    fallback: '`no`; without a value `yes`',
    details:
      '`yes` takes the range that the owner of the root directory lies in, `pick` an unused one, `identity` maps every ID to itself. A number is always the first user ID, never a boolean.',
    differs:
      '`managed` is refused: it asks systemd-nsresourced of systemd 258 for a range, for callers without privileges. `pick` takes an unused range itself.',
    read: (draft, text) => {
      draft.settings.privateUsers = parsePrivateUsers(text)
    },
  },
  {
    name: 'private-users-ownership',
    value: 'required',
    placeholder: 'MODE',
    section: 'User namespacing',
    group: 'user-namespace',
    keys: [['Files', 'PrivateUsersOwnership']],
    help: 'How owners of files become those of the range: off, chown, map, foreign, auto',
    fallback: '`auto` with `--private-users=pick`, else `off`',
    details:
      '`map` and `foreign` map IDs at the mount, of trees that belong to the IDs from 0 on or to the foreign ones, which are those from 2147352576 on. `auto` takes the one that fits, and `chown` where the kernel or the file system cannot. `chown` changes the owners on disk, `off` does nothing.',
    differs:
      '252 does not know `foreign`, which `help` does not list, as there. A tree that does not belong to the foreign IDs is refused.',
    list: () => ownerships,
    read: (draft, text) => {
      draft.ownership = parseChoice<Ownership>(text, [...ownerships, 'foreign'], {
        yes: 'auto',
        no: 'off',
      })
    },
  },
  {
    name: 'private-users-chown',
    value: 'optional',
    placeholder: 'BOOLEAN',
    section: 'User namespacing',
    group: 'user-namespace',
    keys: [['Files', 'PrivateUsersChown']],
    hidden: true,
    help: 'Obsolete: --private-users-ownership=chown',
    details: 'The value is not looked at.',
    read: (draft) => {
      draft.ownership = 'chown'
    },
  },
  {
    short: 'U',
    value: 'none',
    section: 'User namespacing',
    group: 'user-namespace',
    help: '--private-users=pick and --private-users-ownership=auto, where the kernel can',
    read: (draft) => {
      draft.settings.privateUsers = { mode: 'pick', unsupported: 'skip' }
      draft.ownership = 'auto'
    },
  },
  {
    name: 'private-users-delegate',
    value: 'required',
    placeholder: 'COUNT',
    section: 'User namespacing',
    group: 'user-namespace',
    keys: [['Exec', 'PrivateUsersDelegate']],
    help: 'Ranges of user IDs for user namespaces in the container',
    details:
      'Only with `--private-users=managed`, which is refused, so that only 0 is taken: for more IDs, give one larger range with `--private-users=BASE:COUNT`.',
    fallback: '0',
    read: (_draft, text) => {
      const count = parseIntegerBetween(text, 0, 0xffff)
      if (count === undefined) throw usageError(`"${text}" is not a number of ranges`)
      if (count > 0) {
        throw usageError(
          'ranges are delegated only with --private-users=managed',
          'give one larger range with --private-users=BASE:COUNT',
        )
      }
    },
  },
]
