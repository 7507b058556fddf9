/** Options that say what runs in the container and how. */
import { usageError } from '../../errors.ts'
import type { Draft } from '../draft.ts'
import type { Option } from '../option.ts'
import type { StartMode } from '../settings.ts'
import { parseBoolean } from '../values/boolean.ts'
import { parseAssignment } from '../values/environment-assignment.ts'
import { parseWorkingDirectory } from '../values/path.ts'
import { parseSignal, signalNames } from '../values/signal.ts'

/** Neither start mode gives way to the other: a booted system has an init of its own. */
function startAs(draft: Draft, mode: Exclude<StartMode, 'command'>): void {
  const { startMode } = draft.settings
  if (startMode !== 'command' && startMode !== mode) {
    throw usageError('--boot and --as-pid2 may not be combined')
  }
  draft.settings.startMode = mode
}

export const executionOptions: readonly Option[] = [
  {
    name: 'as-pid2',
    short: 'a',
    value: 'none',
    section: 'Execution',
    group: 'start-mode',
    keys: [['Exec', 'ProcessTwo']],
    help: 'Run the program as process 2, below a small init',
    read: (draft) => startAs(draft, 'stub-init'),
  },
  {
    name: 'boot',
    short: 'b',
    value: 'none',
    section: 'Execution',
    group: 'start-mode',
    keys: [['Exec', 'Boot']],
    help: 'Look for an init program and boot the system',
    details:
      'The first of `/usr/lib/systemd/systemd`, `/lib/systemd/systemd` and `/sbin/init` that can be executed; the words after the options are its arguments. The tree needs an os-release file. See [booting](booting.md).',
    read: (draft) => startAs(draft, 'boot'),
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
    fallback: '`RTMIN+3` with `--boot`; else none: the container is killed at once',
    details:
      'A number or a name with or without `SIG`; also `RTMIN+N` and `RTMAX-N`. It is sent as soon as process 1 can take it; a second SIGTERM or SIGINT kills the container.',
    differs:
      'systemd-nspawn 252 sends the signal at once, and loses it when process 1 is not ready for it.',
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
    details:
      'With `yes` the service manager of tsnspawn gets `READY=1` when process 1 sends it to `/run/host/notify`, else when the container has been started. `STATUS=` is passed on in both cases; other fields, and what other processes send, are not.',
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
