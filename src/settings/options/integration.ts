/** Options for files of the host that the container gets, and for its standard streams. */
import type { Option } from '../option.ts'
import type { ConsoleMode, ResolvConfMode, Settings, TimezoneMode } from '../settings.ts'
import { parseBackground } from '../values/background.ts'
import { parseChoice } from '../values/choice.ts'

const resolvConfModes: readonly ResolvConfMode[] = [
  'off',
  'copy-host',
  'copy-static',
  'copy-uplink',
  'copy-stub',
  'replace-host',
  'replace-static',
  'replace-uplink',
  'replace-stub',
  'bind-host',
  'bind-static',
  'bind-uplink',
  'bind-stub',
  'delete',
  'auto',
]
const timezoneModes: readonly TimezoneMode[] = ['off', 'copy', 'bind', 'symlink', 'delete', 'auto']
const linkJournalModes: readonly Settings['linkJournal'][] = [
  'no',
  'auto',
  'guest',
  'host',
  'try-guest',
  'try-host',
]
const consoleModes: readonly ConsoleMode[] = [
  'autopipe',
  'interactive',
  'passive',
  'pipe',
  'read-only',
]
const journal =
  'it takes systemd-journal-remote on the host and systemd 256 in the container; --link-journal=host has the journal of the container on the host, too'

export const integrationOptions: readonly Option[] = [
  {
    name: 'resolv-conf',
    value: 'required',
    placeholder: 'MODE',
    section: 'Integration',
    group: 'resolv-conf',
    keys: [['Exec', 'ResolvConf']],
    help: 'How the container gets its /etc/resolv.conf',
    fallback: '`auto`',
    details:
      '`off`, `delete`, `auto`, or a verb and a source: `copy-`, `replace-` or `bind-` with `host`, `static`, `uplink` or `stub`.',
    list: () => resolvConfModes,
    read: (draft, text) => {
      draft.settings.resolvConf = parseChoice(text, resolvConfModes, { yes: 'auto', no: 'off' })
    },
  },
  {
    name: 'timezone',
    value: 'required',
    placeholder: 'MODE',
    section: 'Integration',
    group: 'timezone',
    keys: [['Exec', 'Timezone']],
    help: 'How the container gets its /etc/localtime',
    fallback: '`auto`',
    details: '`off`, `copy`, `bind`, `symlink`, `delete` or `auto`.',
    list: () => timezoneModes,
    read: (draft, text) => {
      draft.settings.timezone = parseChoice(text, timezoneModes, { yes: 'auto', no: 'off' })
    },
  },
  {
    name: 'link-journal',
    value: 'required',
    placeholder: 'MODE',
    section: 'Integration',
    group: 'link-journal',
    keys: [['Exec', 'LinkJournal']],
    help: 'Show the journal of the container on the host: no, auto, guest, host, try-guest, try-host',
    fallback: '`auto`',
    details:
      'The journal lies in `/var/log/journal/MACHINE-ID`. `guest` makes it a directory of the tree with a link to it on the host; `host` makes it a directory of the host, mounted in the container. With `try-` it is no failure when that cannot be done. `auto` mounts the directory of the host if it exists. Never done with `--ephemeral`.',
    differs:
      'The directory of the host is mapped to the root of a user namespace, which the original does from 258 on. Without a machine ID of the host `auto` and the `try-` modes do nothing, where the original fails.',
    read: (draft, text) => {
      draft.settings.linkJournal = parseChoice(text, linkJournalModes, { yes: 'auto', no: 'no' })
    },
  },
  {
    short: 'j',
    value: 'none',
    section: 'Integration',
    group: 'link-journal',
    help: '--link-journal=try-guest',
    read: (draft) => {
      draft.settings.linkJournal = 'try-guest'
    },
  },
  {
    name: 'forward-journal',
    value: 'required',
    placeholder: 'PATH',
    section: 'Integration',
    help: 'Receive the journal of the container in a file or directory',
    instead: journal,
  },
  {
    name: 'forward-journal-max-use',
    value: 'required',
    placeholder: 'BYTES',
    section: 'Integration',
    help: 'Most space that the received journal takes',
    instead: journal,
  },
  {
    name: 'forward-journal-keep-free',
    value: 'required',
    placeholder: 'BYTES',
    section: 'Integration',
    help: 'Space that the received journal leaves free',
    instead: journal,
  },
  {
    name: 'forward-journal-max-file-size',
    value: 'required',
    placeholder: 'BYTES',
    section: 'Integration',
    help: 'Largest file of the received journal',
    instead: journal,
  },
  {
    name: 'forward-journal-max-files',
    value: 'required',
    placeholder: 'COUNT',
    section: 'Integration',
    help: 'Most files of the received journal',
    instead: journal,
  },
  {
    name: 'console',
    value: 'required',
    placeholder: 'MODE',
    section: 'Input and output',
    group: 'console',
    help: 'How standard streams and /dev/console are made',
    fallback: '`interactive` on a terminal, else `read-only`',
    details:
      '`interactive`, `read-only`, `passive`, `pipe` or `autopipe`. `pipe` implies `--quiet`.',
    list: () => consoleModes,
    read: (draft, text) => {
      draft.settings.console = parseChoice(text, consoleModes)
    },
  },
  {
    name: 'pipe',
    short: 'P',
    value: 'none',
    section: 'Input and output',
    group: 'console',
    help: '--console=pipe',
    read: (draft) => {
      draft.settings.console = 'pipe'
    },
  },
  {
    name: 'background',
    value: 'required',
    placeholder: 'COLOR',
    section: 'Input and output',
    help: 'Background of the terminal while the container runs',
    fallback: 'the terminal keeps its own',
    details:
      'What ANSI calls an SGR background colour, such as `44`, `104`, `48;5;17` or `48;2;0;0;80`; empty means none. Only on an interactive console. A background that the payload sets itself is left alone.',
    differs:
      'Without the option the newest systemd-nspawn asks the terminal for its colour and tints that.',
    read: (draft, text) => {
      draft.settings.background = text === '' ? undefined : parseBackground(text)
    },
  },
]
