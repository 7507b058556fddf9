/** What is executed in the container, and the environment it sees. */
import { usageError } from '../errors.ts'
import type { Settings } from '../settings/settings.ts'
import type { HostFacts } from './host-facts.ts'
import type { PayloadPlan } from './plan.ts'

/** Where the container finds its credentials (container interface, "The host hierarchy"). */
export const CREDENTIALS_DIRECTORY = '/run/host/credentials'

/** Where programs are looked for in a container. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** systemd-nspawn(1), "Environment variables passed"; container interface, "Environment Variables". */
function baseEnvironment(settings: Settings, facts: HostFacts): string[] {
  const environment = [
    `PATH=${DEFAULT_PATH}`,
    `container=${settings.tuning.containerService}`,
    ...(facts.term === undefined || facts.term === '' ? [] : [`TERM=${facts.term}`]),
    'NOTIFY_SOCKET=/run/host/notify',
    ...(facts.passedDescriptors === 0
      ? []
      : [`LISTEN_FDS=${facts.passedDescriptors}`, 'LISTEN_PID=1']),
    ...(settings.credentials.length === 0
      ? []
      : [`CREDENTIALS_DIRECTORY=${CREDENTIALS_DIRECTORY}`]),
    ...(settings.startMode === 'boot' ? [] : ['LANG=C.UTF-8']),
  ]
  for (const key of ['ID', 'VERSION_ID', 'BUILD_ID', 'VARIANT_ID']) {
    const value = facts.osRelease[key]
    if (value !== undefined && value !== '')
      environment.push(`container_host_${key.toLowerCase()}=${value}`)
  }
  return environment
}

function candidates(
  settings: Settings,
): Pick<PayloadPlan, 'candidates' | 'description' | 'startsShell'> {
  if (settings.startMode === 'boot') {
    const inits = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd', '/sbin/init']
    return {
      candidates: inits.map((program) => ({ program, argv: [program, ...settings.command] })),
      description: inits.join(', '),
      startsShell: false,
    }
  }
  const [program] = settings.command
  if (program !== undefined) {
    if (program === '') throw usageError('the command to run is empty')
    return {
      candidates: [{ program, argv: settings.command }],
      description: program,
      startsShell: false,
    }
  }
  // Login shells, as a leading dash in the name says.
  return {
    candidates: [
      { program: '/bin/bash', argv: ['-bash'] },
      { program: '/bin/sh', argv: ['-sh'] },
    ],
    description: '/bin/bash, /bin/sh',
    startsShell: true,
  }
}

export function planPayload(settings: Settings, facts: HostFacts): PayloadPlan {
  const isRoot = settings.user === undefined || settings.user === 'root' || settings.user === '0'
  return {
    ...candidates(settings),
    workingDirectory: settings.workingDirectory,
    environment: baseEnvironment(settings, facts),
    overrides: settings.environment.map(({ name, value }) => `${name}=${value}`),
    user: isRoot ? undefined : settings.user,
    ...bundlePayload(settings),
  }
}

/** `--user=` masks the ids of a bundle. */
function bundlePayload({ bundle }: Settings): Pick<PayloadPlan, 'ids' | 'umask'> {
  return {
    ...(bundle?.user === undefined ? {} : { ids: bundle.user }),
    ...(bundle?.umask === undefined ? {} : { umask: bundle.umask }),
  }
}
