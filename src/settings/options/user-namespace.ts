/** Options for the user namespace. */
import type { Option } from '../option.ts'
import type { Ownership } from '../settings.ts'
import { unsupported } from '../unsupported.ts'
import { parseChoice } from '../values/choice.ts'
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
    differs: '`managed` is refused.',
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
    help: 'How owners of files become those of the range: off, chown, map, auto',
    fallback: '`auto` with `--private-users=pick`, else `off`',
    differs: '`foreign` is refused.',
    list: () => ownerships,
    read: (draft, text) => {
      if (text === 'foreign') throw unsupported('ownership mode "foreign"', 'use map or auto')
      draft.ownership = parseChoice<Ownership>(text, ownerships, { yes: 'auto', no: 'off' })
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
    instead: 'give one larger range with --private-users=BASE:COUNT',
  },
]
