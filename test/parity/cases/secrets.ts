/** Rows about credentials. */
import type { ParityCase } from '../case.ts'
import { row } from './facts.ts'
import { refusal } from './outcomes.ts'

const inside = '/run/host/credentials'
const twoFiles = { read: [`${inside}/one`, `${inside}/two`], probe: ['writes'] } as const

export const secretCases: readonly ParityCase[] = [
  row(
    '--set-credential=',
    'a file that only root may read, in memory, sealed',
    ['--pipe', '--set-credential=one:a\\n\\x41:b', '--set-credential=two:'],
    twoFiles,
  ),
  row(
    '--set-credential=',
    'with a user namespace it belongs to the container’s root',
    ['--pipe', '-U', '--set-credential=one:1', '--set-credential=two:\\u00e4\\101\\s'],
    twoFiles,
  ),
  row(
    '--set-credential=',
    'another user may not read it',
    ['--pipe', '--user=daemon', '--set-credential=one:1'],
    { read: [`${inside}/one`] },
  ),
  row(
    '--load-credential=',
    'from a file, and by name from the caller’s own',
    ({ files }) => ['--pipe', `--load-credential=one:${files}/file`, '--load-credential=two:hosts'],
    { ...twoFiles, environment: { CREDENTIALS_DIRECTORY: '/etc' } },
  ),
  refusal('--set-credential=', 'no name', ['--set-credential=value'], /set-credential=value/),
  refusal('--set-credential=', 'a name with a slash', ['--set-credential=a/b:c'], /a\/b/),
  refusal('--set-credential=', 'an unknown escape', ['--set-credential=a:\\q'], /\\q/),
  refusal(
    '--set-credential=',
    'one name twice',
    ['--set-credential=a:1', '--load-credential=a:/dev/null'],
    /load-credential=.*"a"/,
  ),
  refusal(
    '--load-credential=',
    'a file that is not there',
    ['--load-credential=a:/no/such/file'],
    /"a".*\/no\/such\/file/,
  ),
  refusal('--load-credential=', 'a directory', ['--load-credential=a:/usr'], /"a".*\/usr/),
  refusal(
    '--load-credential=',
    'a name where the caller was given nothing',
    ['--load-credential=a:b'],
    /"b"/,
  ),
]
