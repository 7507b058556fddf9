/** Options for the names of the container, and for its place among the units of the host. */
import { usageError } from '../../errors.ts'
import type { Option } from '../option.ts'
import { booleanWord } from '../values/boolean.ts'
import { parseChoice } from '../values/choice.ts'
import { parseHostName } from '../values/host-name.ts'
import { parseId128 } from '../values/id128.ts'
import { parseSlice } from '../values/slice.ts'

export const identityOptions: readonly Option[] = [
  {
    name: 'machine',
    short: 'M',
    value: 'required',
    placeholder: 'NAME',
    section: 'System identity',
    help: 'Name of the machine; without --directory= also of its image',
    fallback: 'made from the last component of the root directory',
    details: 'A valid host name of at most 64 characters. An empty value unsets it.',
    read: (draft, text) => {
      draft.settings.machine = text === '' ? undefined : parseHostName(text, 'machine')
    },
  },
  {
    name: 'hostname',
    value: 'required',
    placeholder: 'NAME',
    section: 'System identity',
    group: 'hostname',
    keys: [['Exec', 'Hostname']],
    help: 'Host name in the container',
    fallback: 'the machine name',
    details: 'An empty value unsets it.',
    read: (draft, text) => {
      draft.settings.hostname = text === '' ? undefined : parseHostName(text, 'host')
    },
  },
  {
    name: 'uuid',
    value: 'required',
    placeholder: 'UUID',
    section: 'System identity',
    group: 'machine-id',
    keys: [['Exec', 'MachineID']],
    help: 'UUID of the container, where the tree has no machine ID',
    fallback: 'random',
    read: (draft, text) => {
      draft.settings.uuid = parseId128(text)
    },
  },
  {
    name: 'slice',
    short: 'S',
    value: 'required',
    placeholder: 'SLICE',
    section: 'Properties',
    group: 'slice',
    help: 'Slice for the scope of the container',
    fallback: '`machine.slice`',
    details:
      'Refused where the host does not run systemd. No effect with `--keep-unit`; a notice says so.',
    differs:
      'Names of which escaping makes no slice, such as `a--b` or `a.service`, are refused at once.',
    read: (draft, text) => {
      const { name, escaped } = parseSlice(text)
      draft.settings.slice = name
      if (escaped) draft.events.push({ kind: 'notice', text: `slice "${text}" is named ${name}` })
    },
  },
  {
    name: 'property',
    value: 'required',
    placeholder: 'NAME=VALUE',
    section: 'Properties',
    help: 'Property of the scope of the container',
    details:
      'Repeatable, as `systemctl set-property` takes it. Refused where the host does not run systemd. No effect with `--keep-unit`; a notice says so.',
    differs: 'An assignment without `=` is refused at once.',
    read: (draft, text) => {
      if (!/^[A-Za-z]+=/.test(text)) throw usageError(`"${text}" is not written NAME=VALUE`)
      draft.settings.properties = [...draft.settings.properties, text]
    },
  },
  {
    name: 'register',
    value: 'required',
    placeholder: 'MODE',
    section: 'Properties',
    help: 'Register the machine: yes, no, or if possible (auto)',
    fallback: '`auto`',
    details:
      'With systemd-machined where the host runs it, and always in a registry of its own, which `tsnspawn-build list` shows. `yes` fails where there is no machined.',
    differs:
      'systemd-nspawn 252 knows no `auto`. A machine name that is taken is refused in both modes, by `auto` too.',
    read: (draft, text) => {
      const truth = booleanWord(text)
      draft.settings.register =
        truth === undefined ? parseChoice(text, ['yes', 'no', 'auto']) : truth ? 'yes' : 'no'
    },
  },
  {
    name: 'keep-unit',
    value: 'none',
    section: 'Properties',
    help: 'Stay in the unit of the caller',
    read: (draft) => {
      draft.settings.keepUnit = true
    },
  },
]
