/** Rows about users of the host in the container; the stage makes these users, in its own room only. */
import type { ParityCase } from '../case.ts'
import { row } from './facts.ts'
import { refusal } from './outcomes.ts'

const records = ['group', 'user', 'user-privileged'].flatMap((suffix) => [
  `/run/host/userdb/parity-guest.${suffix}`,
  `/run/host/userdb/60514.${suffix}`,
])
const option = '--bind-user='

export const hostUserCases: readonly ParityCase[] = [
  row(
    option,
    'records and a home, owned by the first free ID',
    ['-U', '--pipe', '--bind-user=parity-guest'],
    {
      read: [...records, '/run/host/home/parity-guest', '/run/host/home/parity-guest/file'],
    },
  ),
  row(
    option,
    'IDs of the tree are passed over, names given twice count once',
    ['-U', '--pipe', '--bind-user=parity-guest', '--bind-user=parity-guest'],
    {
      prepare:
        'echo "a:x:60514:1::/:/bin/sh" >> "$TREE/etc/passwd"; echo "b:x:60515:" >> "$TREE/etc/group"',
      read: ['/run/host/userdb/60516.user', '/run/host/home/parity-guest'],
    },
  ),
  refusal(option, 'root', ['-U', '--bind-user=root'], /root/),
  refusal(option, 'nobody', ['-U', '--bind-user=nobody'], /nobody/),
  refusal(option, 'a user that the host has not', ['-U', '--bind-user=no-such'], /no-such/),
  refusal(option, 'a name that is none', ['-U', '--bind-user=1000'], /--bind-user=1000/),
  refusal(option, 'a user whom the tree has too', ['-U', '--bind-user=daemon'], /daemon/),
  refusal(option, 'a user in a shared group', ['-U', '--bind-user=parity-shared'], /parity-shared/),
  refusal(option, 'a home that is not there', ['-U', '--bind-user=parity-homeless'], /\/no\/such/),
  refusal(option, 'no ID left', ['-U', '--bind-user=parity-guest'], /60514 to 60577/, {
    prepare: 'for id in $(seq 60514 60577); do echo "u$id:x:$id:"; done >> "$TREE/etc/group"',
  }),
]
