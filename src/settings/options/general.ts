/** General options. `--help` and `--version` are read in argv.ts, since they end the reading. */
import type { SettingsFileMode } from '../draft.ts'
import type { Option } from '../option.ts'
import { parseChoice } from '../values/choice.ts'

const settingsFileModes: readonly SettingsFileMode[] = ['yes', 'no', 'override', 'trusted']

export const generalOptions: readonly Option[] = [
  {
    name: 'help',
    short: 'h',
    value: 'none',
    section: 'General',
    help: 'Show this help',
    differs: 'Never piped into a pager.',
    read: () => {},
  },
  {
    name: 'version',
    value: 'none',
    section: 'General',
    help: 'Show the version',
    read: () => {},
  },
  {
    name: 'quiet',
    short: 'q',
    value: 'none',
    section: 'General',
    help: 'Do not show status lines; errors and warnings stay',
    read: (draft) => {
      draft.settings.quiet = true
    },
  },
  {
    name: 'no-pager',
    value: 'none',
    section: 'General',
    help: 'Accepted; there is no pager',
    read: () => {},
  },
  {
    name: 'no-ask-password',
    value: 'none',
    section: 'General',
    help: 'Ask nobody for the passphrase of a disk image',
    read: ({ settings }) => {
      settings.image = { ...settings.image, askPassphrase: false }
    },
  },
  {
    name: 'settings',
    value: 'required',
    placeholder: 'MODE',
    section: 'General',
    help: 'Whether a .nspawn file is read: yes, no, override, trusted',
    fallback: '`yes`',
    details:
      'With `override` the file counts more than the command line, with `trusted` a file beside the image may say what else only one in /etc or /run may. See [settings files](settings-files.md).',
    differs:
      'With `no`, systemd-nspawn 252 leaves the resource limits as the caller has them; here the same defaults hold as always.',
    read: (draft, text) => {
      draft.program.settingsFile = parseChoice<SettingsFileMode>(text, settingsFileModes, {
        yes: 'yes',
        no: 'no',
      })
    },
  },
  {
    name: 'cleanup',
    value: 'none',
    section: 'General',
    help: 'Remove what a crashed run of this machine left, and exit',
    details:
      'Needs `--directory=` or `--machine=`. The next run of the same machine does the same by itself. Refused while the tree is in use.',
    read: (draft) => {
      draft.program.cleanUp = true
    },
  },
  {
    name: 'system',
    value: 'none',
    section: 'General',
    help: 'Talk to the system service manager',
    details: 'The only scope there is, so this changes nothing.',
    read: () => {},
  },
  {
    name: 'share-system',
    value: 'none',
    section: 'General',
    hidden: true,
    help: 'Obsolete: do not make IPC, PID and UTS namespaces',
    read: (draft) => {
      draft.shareSystem = true
      draft.events.push({
        kind: 'warning',
        text: '--share-system is obsolete',
        hint: 'use $SYSTEMD_NSPAWN_SHARE_NS_IPC, $SYSTEMD_NSPAWN_SHARE_NS_PID and $SYSTEMD_NSPAWN_SHARE_NS_UTS',
      })
    },
  },
]
