/** Options that say what runs in the container and how. */
import type { Option } from '../option.ts'
import { parseBoolean } from '../values/boolean.ts'
import { parseAssignment } from '../values/environment-assignment.ts'
import { parseWorkingDirectory } from '../values/path.ts'
import { parseSignal, signalNames } from '../values/signal.ts'

export const executionOptions: readonly Option[] = [
  {
    name: 'as-pid2',
    short: 'a',
    value: 'none',
    section: 'Execution',
    group: 'start-mode',
    keys: [['Exec', 'ProcessTwo']],
    help: 'Run the program as process 2, below a small init',
    read: (draft) => {
      draft.settings.startMode = 'stub-init'
    },
  },
  {
    name: 'boot',
    short: 'b',
    value: 'none',
    section: 'Execution',
    group: 'start-mode',
    keys: [['Exec', 'Boot']],
    help: 'Look for an init program and boot the system',
    instead: 'name a program to run, and use --as-pid2 to have an init above it',
  },
  {
    name: 'chdir',
    value: 'required',
    placeholder: 'PATH',
    section: 'Execution',
    group: 'working-directory',
    keys: [['Exec', 'WorkingDirectory']],
    help: 'Working directory of the program',
    fallback: '`/`; the home directory for a shell',
    details: 'Must be absolute, without `..`, and not below `/dev`, `/proc` or `/sys`.',
    differs: 'systemd-nspawn 252 accepts `..` and directories below `/dev`, `/proc` and `/sys`.',
    read: (draft, text) => {
      draft.settings.workingDirectory = parseWorkingDirectory(text)
    },
  },
  {
    name: 'setenv',
    short: 'E',
    value: 'required',
    placeholder: 'NAME[=VALUE]',
    section: 'Execution',
    group: 'environment',
    keys: [['Exec', 'Environment']],
    help: "Set a variable of the program's environment",
    details: 'Repeatable. A name alone copies the value from the caller’s environment.',
    read: (draft, text, { env }) => {
      const assignment = parseAssignment(text, env)
      const known = draft.settings.environment.findIndex(({ name }) => name === assignment.name)
      draft.settings.environment =
        known < 0
          ? [...draft.settings.environment, assignment]
          : draft.settings.environment.with(known, assignment)
    },
  },
  {
    name: 'user',
    short: 'u',
    aliases: ['uid'],
    value: 'required',
    placeholder: 'USER',
    section: 'Execution',
    group: 'user',
    keys: [['Exec', 'User']],
    help: 'Run the program as this user of the container',
    fallback: '`root`',
    details: 'A name or a number, looked up in the container. `--uid=` is the newer name.',
    differs:
      'In the newest systemd-nspawn `--user` without a value chooses the user’s service manager; here it always takes a value.',
    read: (draft, text) => {
      draft.settings.user = text === '' ? undefined : text
    },
  },
  {
    name: 'kill-signal',
    value: 'required',
    placeholder: 'SIGNAL',
    section: 'Execution',
    group: 'kill-signal',
    keys: [['Exec', 'KillSignal']],
    help: 'Signal for process 1 when tsnspawn is told to end',
    fallback: 'none: the container is killed at once',
    details: 'A number or a name with or without `SIG`; also `RTMIN+N` and `RTMAX-N`.',
    list: signalNames,
    read: (draft, text) => {
      draft.settings.killSignal = parseSignal(text)
    },
  },
  {
    name: 'notify-ready',
    value: 'required',
    placeholder: 'BOOLEAN',
    section: 'Execution',
    group: 'notify-ready',
    keys: [['Exec', 'NotifyReady']],
    help: 'Wait until process 1 says that it is ready',
    fallback: '`no`',
    read: (draft, text) => {
      draft.settings.notifyReady = parseBoolean(text)
    },
  },
  {
    name: 'suppress-sync',
    value: 'required',
    placeholder: 'BOOLEAN',
    section: 'Execution',
    group: 'suppress-sync',
    keys: [['Exec', 'SuppressSync']],
    help: 'Turn calls that write to disk at once into nothing',
    fallback: '`$SYSTEMD_SUPPRESS_SYNC`, else `no`',
    read: (draft, text) => {
      draft.suppressSync = parseBoolean(text)
    },
  },
]
