/** How an image wants to be run, as the `.nspawn` file that lies beside it. */
import { NspawnError } from '../../errors.ts'
import { settingsFileText, type FileSetting } from '../../settings/file/write.ts'
import { parseWorkingDirectory } from '../../settings/values/path.ts'
import { parseSignal } from '../../settings/values/signal.ts'
import type { Execution } from './documents.ts'

export interface MachineSettings {
  readonly text: string
  /** What the image asks for and the file cannot say, in words. */
  readonly left: readonly string[]
}

/** As many as anybody could mean. */
const portsMax = 1024

/**
 * @param reference for the comment on top
 * @throws NspawnError `BAD_IMAGE_CONFIG` for what cannot be written or could not be read back
 */
export function machineSettings(reference: string, execution: Execution): MachineSettings {
  const left: string[] = []
  try {
    const ports = portSettings(execution.ports, left)
    const text = settingsFileText(`Made from the image ${reference}.`, [
      ['Exec', executionSettings(execution, left)],
      // Ports can only be forwarded into a network of its own.
      ['Network', ports.length === 0 ? [] : [{ key: 'VirtualEthernet', value: 'yes' }, ...ports]],
    ])
    return { text, left }
  } catch (error) {
    if (!(error instanceof NspawnError)) throw error
    throw new NspawnError('cannot make settings of the image configuration', {
      code: 'BAD_IMAGE_CONFIG',
      cause: error,
    })
  }
}

function executionSettings(execution: Execution, left: string[]): FileSetting[] {
  const { entrypoint, command, workingDirectory, stopSignal } = execution
  const parameters = [...entrypoint, ...command]
  const settings: FileSetting[] = [{ key: 'Boot', value: 'no' }]
  if (parameters.length > 0) settings.push({ key: 'Parameters', words: parameters })
  for (const assignment of execution.environment) {
    if (assignment.indexOf('=') > 0) settings.push({ key: 'Environment', words: [assignment] })
    else left.push(`the variable ${JSON.stringify(assignment.slice(0, 80))}, which has no value`)
  }
  const [user = '', group] = execution.user.split(':')
  if (!isRoot(user)) settings.push({ key: 'User', value: user })
  if (group !== undefined) left.push(`the group ${JSON.stringify(group.slice(0, 80))} of its user`)
  if (!['', '/'].includes(workingDirectory)) {
    const path = parseWorkingDirectory(
      workingDirectory.startsWith('/') ? workingDirectory : `/${workingDirectory}`,
    )
    if (path !== '/') settings.push({ key: 'WorkingDirectory', value: path })
  }
  settings.push({ key: 'KillSignal', value: signalName(stopSignal ?? 'SIGTERM') })
  return settings
}

/** Whether a user of an image's configuration is the one that programs run as anyway. */
export function isRoot(user: string): boolean {
  return ['', 'root', '0'].includes(user)
}

function signalName(text: string): string {
  const name = text.toUpperCase()
  parseSignal(name)
  return name
}

function portSettings(ports: readonly string[], left: string[]): FileSetting[] {
  const found = new Set<string>()
  for (const text of ports) {
    const [, first, last = first, protocol = 'tcp'] =
      /^([0-9]{1,5})(?:-([0-9]{1,5}))?(?:\/([a-z]+))?$/.exec(text) ?? []
    const [from, to] = [Number(first), Number(last)]
    if (!(from >= 1 && from <= to && to <= 65535))
      throw invalid(`${JSON.stringify(text.slice(0, 80))} is no port`)
    if (protocol !== 'tcp' && protocol !== 'udp') {
      left.push(`the ${protocol.slice(0, 20)} port ${first}`)
      continue
    }
    if (found.size + to - from >= portsMax) throw invalid(`it has more than ${portsMax} ports`)
    for (let port = from; port <= to; port++) found.add(`${protocol}:${port}`)
  }
  return [...found].map((value) => ({ key: 'Port', value }))
}

function invalid(message: string): NspawnError {
  return new NspawnError(message, { code: 'BAD_IMAGE_CONFIG' })
}
