/** Options for privileges and for limits. */
import { usageError } from '../../errors.ts'
import type { Option } from '../option.ts'
import type { Settings } from '../settings.ts'
import { parseBoolean } from '../values/boolean.ts'
import { capabilityNames, parseCapabilities } from '../values/capability.ts'
import { parseChoice } from '../values/choice.ts'
import { addProcessors } from '../values/cpu-list.ts'
import { parseIntegerBetween } from '../values/number.ts'
import { parseResourceLimit, resourceLimitNames } from '../values/resource-limit.ts'
import { parseSelinuxLabel } from '../values/selinux-label.ts'
import { parseSystemCallFilter } from '../values/system-call-filter.ts'

/** Lower case, as `systemd-nspawn --capability=help` prints them. */
const listCapabilities = () => capabilityNames.map((name) => name.toLowerCase())

const united = (first: readonly string[], second: readonly string[]) => [
  ...new Set([...first, ...second]),
]

const personalities: readonly NonNullable<Settings['personality']>[] = [
  'x86',
  'x86-64',
  'arm',
  'arm64',
]

export const securityOptions: readonly Option[] = [
  {
    name: 'capability',
    value: 'required',
    placeholder: 'CAP[,CAP…]',
    section: 'Security',
    group: 'capability',
    keys: [['Exec', 'Capability']],
    help: 'Keep these capabilities besides the default ones',
    details: 'Repeatable. Names in any letter case, numbers, or `all`.',
    differs: 'Numbers above the highest known capability are refused.',
    list: listCapabilities,
    read: (draft, text) => {
      const { add, ...others } = draft.settings.capabilities
      draft.settings.capabilities = { ...others, add: united(add, parseCapabilities(text)) }
    },
  },
  {
    name: 'drop-capability',
    value: 'required',
    placeholder: 'CAP[,CAP…]',
    section: 'Security',
    group: 'capability',
    keys: [['Exec', 'DropCapability']],
    help: 'Drop these capabilities',
    details: 'Repeatable. Applied after `--capability=` and `--private-network`.',
    list: listCapabilities,
    read: (draft, text) => {
      const { drop, ...others } = draft.settings.capabilities
      draft.settings.capabilities = { ...others, drop: united(drop, parseCapabilities(text)) }
    },
  },
  {
    name: 'ambient-capability',
    value: 'required',
    placeholder: 'CAP[,CAP…]',
    section: 'Security',
    group: 'capability',
    keys: [['Exec', 'AmbientCapability']],
    help: 'Give the program these capabilities, whatever its user',
    details: 'Repeatable. Each must be among the capabilities that the container keeps.',
    list: listCapabilities,
    read: (draft, text) => {
      if (text.split(',').includes('all')) {
        throw usageError(
          'ambient capabilities do not support the value all',
          'name the ones needed',
        )
      }
      const { ambient, ...others } = draft.settings.capabilities
      draft.settings.capabilities = { ...others, ambient: united(ambient, parseCapabilities(text)) }
    },
  },
  {
    name: 'no-new-privileges',
    value: 'required',
    placeholder: 'BOOLEAN',
    section: 'Security',
    group: 'no-new-privileges',
    keys: [['Exec', 'NoNewPrivileges']],
    help: 'Keep the program from gaining privileges through what it executes',
    fallback: '`no`',
    read: (draft, text) => {
      draft.settings.noNewPrivileges = parseBoolean(text)
    },
  },
  {
    name: 'system-call-filter',
    value: 'required',
    placeholder: '[~]CALLS',
    section: 'Security',
    group: 'system-call-filter',
    keys: [['Exec', 'SystemCallFilter']],
    help: 'Allow more system calls, or with ~ fewer',
    details: 'Repeatable. Names and `@groups` separated by blanks; a denial beats an allowance.',
    differs: 'Words that cannot be names, such as `mount,open`, are refused instead of ignored.',
    read: (draft, text) => {
      const { allow, deny } = parseSystemCallFilter(text)
      const before = draft.settings.systemCallFilter
      draft.settings.systemCallFilter = {
        allow: united(before.allow, allow),
        deny: united(before.deny, deny),
      }
    },
  },
  {
    name: 'selinux-context',
    short: 'Z',
    value: 'required',
    placeholder: 'LABEL',
    section: 'Security',
    help: 'SELinux label of processes in the container',
    details: 'Refused on hosts without SELinux.',
    read: (draft, text) => {
      draft.settings.selinux = { ...draft.settings.selinux, context: parseSelinuxLabel(text) }
    },
  },
  {
    name: 'selinux-apifs-context',
    short: 'L',
    value: 'required',
    placeholder: 'LABEL',
    section: 'Security',
    help: 'SELinux label of files in the temporary file systems of the container',
    details: 'Among them are `/dev`, `/run` and `/tmp`. Refused on hosts without SELinux.',
    read: (draft, text) => {
      draft.settings.selinux = { ...draft.settings.selinux, apifsContext: parseSelinuxLabel(text) }
    },
  },
  {
    name: 'rlimit',
    value: 'required',
    placeholder: 'NAME=SOFT[:HARD]',
    section: 'Resources',
    group: 'resource-limit',
    keys: resourceLimitNames.map((name) => ['Exec', `Limit${name}`] as const),
    help: 'Set a resource limit of the program',
    details:
      'Repeatable; the last one of a name counts. `infinity` lifts a limit. Sizes take the suffixes `K` to `E`, `CPU` (seconds) and `RTTIME` (microseconds) take units of time, `NICE` takes a nice value with its sign or the raw limit.',
    list: () => resourceLimitNames,
    read: (draft, text) => {
      const { name, limit } = parseResourceLimit(text)
      draft.settings.resourceLimits = { ...draft.settings.resourceLimits, [name]: limit }
    },
  },
  {
    name: 'oom-score-adjust',
    value: 'required',
    placeholder: 'NUMBER',
    section: 'Resources',
    group: 'oom-score-adjust',
    keys: [['Exec', 'OOMScoreAdjust']],
    help: 'How eagerly the kernel kills the program when memory runs out, -1000 to 1000',
    fallback: 'inherited',
    read: (draft, text) => {
      const value = parseIntegerBetween(text, -1000, 1000)
      if (value === undefined) throw usageError(`"${text}" is not a number from -1000 to 1000`)
      draft.settings.oomScoreAdjust = value
    },
  },
  {
    name: 'cpu-affinity',
    value: 'required',
    placeholder: 'CPUS',
    section: 'Resources',
    group: 'cpu-affinity',
    keys: [['Exec', 'CPUAffinity']],
    help: 'Processors that the container may run on, such as 0-3,7',
    fallback: 'inherited',
    details: 'An empty value unsets it.',
    differs: 'A range that runs backwards is refused instead of ignored.',
    read: (draft, text) => {
      draft.processors = addProcessors(undefined, text)
    },
  },
  {
    name: 'personality',
    value: 'required',
    placeholder: 'ARCHITECTURE',
    section: 'Resources',
    group: 'personality',
    keys: [['Exec', 'Personality']],
    help: 'Architecture that uname reports: x86, x86-64, arm, arm64',
    fallback: 'that of the host',
    details: 'Only the architecture of the host and its 32-bit sibling can be had.',
    read: (draft, text) => {
      draft.settings.personality = parseChoice(text, personalities)
    },
  },
]
