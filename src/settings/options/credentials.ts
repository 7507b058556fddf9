/** Options for the secrets that a container is given. */
import { usageError } from '../../errors.ts'
import type { Draft } from '../draft.ts'
import type { Option } from '../option.ts'
import type { Credential } from '../settings.ts'
import { parseLoadCredential, parseSetCredential } from '../values/credential.ts'

function add(draft: Draft, credential: Credential): void {
  const { credentials } = draft.settings
  if (credentials.some(({ name }) => name === credential.name)) {
    throw usageError(`there is a credential "${credential.name}" already`)
  }
  draft.settings.credentials = [...credentials, credential]
}

const details =
  'Repeatable, each name once. The container finds the credential as a file in `$CREDENTIALS_DIRECTORY` (`/run/host/credentials`), which only its root may read; with `--user=` and `--no-new-privileges=yes`, and neither `--boot` nor `--as-pid2`, everybody in it may.'

export const credentialOptions: readonly Option[] = [
  {
    name: 'set-credential',
    value: 'required',
    placeholder: 'ID:VALUE',
    section: 'Credentials',
    group: 'credentials',
    help: 'Pass a credential with this value to the container',
    details: `${details} The escapes of C strings stand for the bytes they mean, such as \`\\n\` and \`\\x00\`.`,
    read: (draft, text) => add(draft, parseSetCredential(text)),
  },
  {
    name: 'load-credential',
    value: 'required',
    placeholder: 'ID:PATH',
    section: 'Credentials',
    group: 'credentials',
    help: 'Pass a credential from a file or socket to the container',
    details: `${details} A stream socket in place of the file is read to its end. A path without a slash is the name of a credential in the caller’s own \`$CREDENTIALS_DIRECTORY\`. At most 64 MiB.`,
    differs:
      'A relative path with a slash is taken against the current directory, as in the newest systemd-nspawn; 252 refuses it.',
    read: (draft, text, caller) => add(draft, parseLoadCredential(text, caller)),
  },
]
