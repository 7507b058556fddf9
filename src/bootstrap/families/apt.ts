/** dpkg and apt in a tree. */
import { NspawnError } from '../../errors.ts'
import type { AptArchive } from '../archives/apt.ts'
import { writeAptSources } from '../finishing/apt-sources.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import { brokenPackages, installedPackages } from './dpkg-status.ts'
import type { Family } from './family.ts'
import { withServicesDown } from './services.ts'

export const apt: Family<AptArchive> = {
  isPackage: (path, architecture) =>
    // What is not whole yet lies in a directory of its own.
    !path.includes('/') && (path.endsWith(`_${architecture}.deb`) || path.endsWith('_all.deb')),

  async installedPackages(_tree, files) {
    const broken = brokenPackages(files)
    if (broken.length > 0) {
      throw new NspawnError(`packages are half installed: ${broken.join(', ')}`, {
        code: 'BOOTSTRAP_VERIFY',
      })
    }
    return installedPackages(files)
  },

  async installUpdates(tree, files, plan) {
    if (plan !== undefined) {
      if (plan.archive.extraSuites.length === 0) return
      writeAptSources(files, plan)
    }
    const hint = plan === undefined ? undefined : 'leave the updates out with --no-updates'
    await withServicesDown(files, async () => {
      for (const words of [update, upgrade]) await runApt(words, tree, hint)
    })
  },
}

/** A source that cannot be read is a failure; files that somebody has changed stay. */
const update = ['--option', 'APT::Update::Error-Mode=any', 'update']
const upgrade = [
  ...['--option', 'Dpkg::Options::=--force-confdef', '--option', 'Dpkg::Options::=--force-confold'],
  ...['--yes', 'dist-upgrade'],
]

async function runApt(
  words: readonly string[],
  tree: TreeInMaking,
  hint: string | undefined,
): Promise<void> {
  const { log, context } = tree
  context.log({ kind: 'step', text: `apt-get ${words.at(-1)}` })
  const command = ['apt-get', '--quiet', ...words] as const
  const { status } = await runInTree(tree, command, { network: 'host' })
  if (status === 0) return
  const script = log.lines.some((line) => / script subprocess /.test(line))
  throw new NspawnError(`cannot bring the tree up to date: ${log.complaints().join('\n  ')}`, {
    code: script ? 'BOOTSTRAP_SCRIPT' : 'BOOTSTRAP_FAILED',
    operation: command.join(' '),
    status,
    log: log.path,
    hint,
  })
}
