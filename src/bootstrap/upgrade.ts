/** Brings a tree that was made from one suite alone up to its updates and security suites. */
import { NspawnError } from '../errors.ts'
import { ephemeralMachineName } from '../images/names.ts'
import { runContainer } from '../runtime/client.ts'
import { defaultSettings } from '../settings/settings.ts'
import type { CreateContext } from './create-context.ts'
import { writeAptSources } from './finishing/apt-sources.ts'
import type { TreePlan } from './plan.ts'
import type { ToolLog } from './tool-log.ts'
import type { TreeFiles } from './tree-files.ts'

const policy = '/usr/sbin/policy-rc.d'

/**
 * Runs the tree's own apt in a container with network; services are kept from starting meanwhile.
 *
 * @throws NspawnError `BOOTSTRAP_FAILED`
 */
export async function upgradeTree(
  files: TreeFiles,
  plan: TreePlan,
  log: ToolLog,
  context: CreateContext,
): Promise<void> {
  if (plan.extraSuites.length === 0) return
  writeAptSources(files, plan)
  files.write(policy, '#!/bin/sh\nexit 101\n', 0o755)
  try {
    for (const words of [['update'], ['--yes', 'dist-upgrade']]) {
      context.log({ kind: 'step', text: `apt-get ${words.join(' ')}` })
      await runApt(words, files.root, log, context)
    }
  } finally {
    files.remove(policy)
  }
}

async function runApt(
  words: readonly string[],
  root: string,
  log: ToolLog,
  context: CreateContext,
): Promise<void> {
  const command = ['apt-get', '--quiet', ...words]
  log.add(`+ ${command.join(' ')}`)
  const outcome = await runContainer({
    settings: {
      ...defaultSettings(),
      root: { kind: 'directory', path: root },
      command,
      machine: ephemeralMachineName('create'),
      environment: [
        { name: 'DEBIAN_FRONTEND', value: 'noninteractive' },
        { name: 'LC_ALL', value: 'C.UTF-8' },
      ],
      startMode: 'stub-init',
      suppressSync: true,
      register: 'no',
      keepUnit: true,
      resolvConf: 'replace-host',
      timezone: 'off',
      quiet: true,
    },
    stdio: 'lines',
    onLine: (line, stream) => {
      log.add(line)
      context.log({ kind: 'output', stream, line })
    },
    signal: context.signal,
  })
  if (outcome.status === 0) return
  throw new NspawnError(`cannot bring the tree up to date: ${log.complaints().join('\n  ')}`, {
    code: 'BOOTSTRAP_FAILED',
    operation: command.join(' '),
    status: outcome.status,
    log: log.path,
    hint: 'leave the updates out with --no-updates',
  })
}
