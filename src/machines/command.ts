/** What is run in a machine and as whom, as the process that entered it becomes it. */
import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { NspawnError } from '../errors.ts'
import { DEFAULT_PATH } from '../plan/payload.ts'
import type { PayloadPlan } from '../plan/plan.ts'
import { send } from '../runtime/messages.ts'
import { executePayload, findUser, type DatabaseUser } from '../runtime/payload.ts'
import { closeOnExecAllBut, duplicateTo, tryChangeOwner } from '../sys/fd.ts'
import { resetSignalHandlers, setSignalMask } from '../sys/process.ts'
import { makeControllingTerminal, openPty, openPtyPeer } from '../sys/pty.ts'
import { confine } from './enter.ts'
import type { RunningMachine } from '../runtime/registry.ts'

export interface EnteredCommand {
  /** Name or number, looked up in the machine. */
  readonly user: string
  /** `shell` is the user's own as a login shell; `login` asks who it is. */
  readonly program:
    | { readonly kind: 'shell' }
    | { readonly kind: 'login' }
    | { readonly kind: 'command'; readonly argv: readonly string[] }
  /** `NAME=VALUE`, over what every session has. */
  readonly environment: readonly string[]
  /** The type of the caller's terminal. */
  readonly term: string | undefined
  /** A new terminal of the machine's own, or these descriptors for stdin, stdout and stderr. */
  readonly stdio: 'terminal' | readonly [number, number, number]
}

const nobody: DatabaseUser = {
  uid: 0,
  gid: 0,
  groups: [],
  home: '/root',
  login: 'root',
  shell: undefined,
}

/** Becomes the command. Runs in the process that has entered the machine; returns only by throwing. */
export function becomeCommand(
  command: EnteredCommand,
  machine: RunningMachine,
  control: number,
): never {
  const confineAsRoot = () => confine(machine, nobody)
  const user =
    findUser(command.user, confineAsRoot) ?? (command.user === 'root' ? nobody : undefined)
  if (user === undefined) {
    throw new NspawnError(`machine ${machine.name} has no user ${command.user}`, {
      code: 'NO_SUCH_USER',
      operation: 'getent',
      subject: command.user,
    })
  }
  takeStdio(command.stdio, user, control)
  const environment = sessionEnvironment(command, user, machine)
  confine(machine, user)
  resetSignalHandlers()
  setSignalMask([])
  closeOnExecAllBut([])
  executePayload(payloadOf(command, user), { ...user, name: user.login }, environment)
}

function takeStdio(stdio: EnteredCommand['stdio'], user: DatabaseUser, control: number): void {
  if (stdio === 'terminal') {
    const pty = openPty('/dev/pts')
    const peer = openPtyPeer(pty, '/dev/pts')
    for (const target of [0, 1, 2]) duplicateTo(peer, target)
    makeControllingTerminal(0)
    if (user.uid !== 0) tryChangeOwner(0, user.uid, user.gid)
    send(control, { kind: 'started', fds: ['console'] }, [pty.master])
    return
  }
  for (const [target, fd] of stdio.entries()) duplicateTo(fd, target)
  send(control, { kind: 'started', fds: [] })
}

/** Nothing of the caller's but the type of its terminal. */
function sessionEnvironment(
  { environment, term, stdio, program }: EnteredCommand,
  user: DatabaseUser,
  machine: RunningMachine,
): string[] {
  const runtime = `/run/user/${user.uid}`
  const variables = new Map<string, string>()
  for (const assignment of [
    `PATH=${DEFAULT_PATH}`,
    'LANG=C.UTF-8',
    `HOME=${user.home}`,
    `USER=${user.login}`,
    `LOGNAME=${user.login}`,
    `SHELL=${user.shell ?? '/bin/sh'}`,
    `container=${machine.service}`,
    ...(stdio === 'terminal' || program.kind === 'login' ? [`TERM=${term ?? 'vt220'}`] : []),
    ...(isDirectory(runtime) ? [`XDG_RUNTIME_DIR=${runtime}`] : []),
    ...environment,
  ]) {
    variables.set(assignment.slice(0, assignment.indexOf('=')), assignment)
  }
  return [...variables.values()]
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function payloadOf({ program, term }: EnteredCommand, user: DatabaseUser): PayloadPlan {
  const candidates = candidatesOf(program, term, user)
  return {
    candidates,
    description: candidates.map((candidate) => candidate.program).join(', '),
    workingDirectory: undefined,
    startsShell: true,
    environment: [],
    overrides: [],
    user: undefined,
  }
}

function candidatesOf(
  program: EnteredCommand['program'],
  term: string | undefined,
  user: DatabaseUser,
): PayloadPlan['candidates'] {
  switch (program.kind) {
    case 'command':
      return [{ program: program.argv[0] as string, argv: program.argv }]
    case 'login': {
      const asked = ['--noclear', '--keep-baud', '-', '115200,38400,9600', term ?? 'vt220']
      return [
        { program: 'agetty', argv: ['agetty', ...asked] },
        { program: 'login', argv: ['login'] },
      ]
    }
    case 'shell': {
      const shells = user.shell === undefined ? ['/bin/sh'] : [user.shell, '/bin/sh']
      // Login shells, as a leading dash in the name says.
      return shells.map((shell) => ({ program: shell, argv: [`-${basename(shell)}`] }))
    }
  }
}
