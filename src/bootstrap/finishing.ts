/**
 * Makes a fresh tree fit for use: nothing of the host's is left in it, and what a package manager leaves
 * behind is gone. Doing an item twice changes nothing.
 */
import { chmodSync, chownSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FinishingItem } from '../recipe.ts'
import { lockRoot } from './customize/password.ts'
import { writeAptSources } from './finishing/apt-sources.ts'
import { cleanPacmanKeyring, writePacmanConfiguration } from './finishing/pacman-configuration.ts'
import { writeZypperRepositories } from './finishing/zypper-repositories.ts'
import type { TreePlan } from './plan.ts'
import type { TreeInMaking } from './run-in-tree.ts'
import type { TreeFiles } from './tree-files.ts'

export interface FinishingContext {
  readonly files: TreeFiles
  readonly plan: TreePlan
  /** For what programs of the tree have to do themselves, by `runInTree()`. */
  readonly tree: TreeInMaking
  /** `templates/` of this package. */
  readonly templates: string
}

const items: Readonly<Record<FinishingItem, (context: FinishingContext) => void | Promise<void>>> =
  {
    'machine-id'({ files, plan }) {
      // machine-id(5): `uninitialized` asks for what belongs to a first boot, an empty file for nothing.
      files.write('/etc/machine-id', plan.purpose === 'boot' ? 'uninitialized\n' : '', 0o444)
      if (files.stat('/var/lib/dbus/machine-id', 'keep')?.isFile() === true)
        files.remove('/var/lib/dbus/machine-id')
    },

    'resolv-conf'({ files }) {
      // A copy of the host's goes; a link to a resolver of the tree stays.
      if (files.stat('/etc/resolv.conf', 'keep')?.isFile() === true)
        files.remove('/etc/resolv.conf')
    },

    hostname({ files, plan }) {
      if (plan.purpose === 'boot') files.write('/etc/hostname', `${plan.name}\n`)
      else files.remove('/etc/hostname')
    },

    hosts({ files }) {
      let hosts = files.read('/etc/hosts') ?? ''
      if (hosts !== '' && !hosts.endsWith('\n')) hosts += '\n'
      if (!/^127\.0\.0\.1\s.*\blocalhost\b/m.test(hosts)) hosts += '127.0.0.1\tlocalhost\n'
      if (!/^::1\s.*\blocalhost\b/m.test(hosts))
        hosts += '::1\tlocalhost ip6-localhost ip6-loopback\n'
      files.write('/etc/hosts', hosts)
    },

    locale({ files, plan }) {
      files.write('/etc/locale.conf', 'LANG=C.UTF-8\n')
      // Debian's own place, read by PAM.
      if (plan.archive.family === 'apt') files.write('/etc/default/locale', 'LANG=C.UTF-8\n')
    },

    'root-password'({ files }) {
      lockRoot(files)
    },

    'apt-configuration'({ files, plan, templates }) {
      const template = (name: string) => readFileSync(join(templates, 'debian', name), 'utf8')
      files.write('/etc/apt/apt.conf.d/90tsnspawn', template('90tsnspawn'))
      // What mmdebstrap was told to make the tree with is not meant for all archives that it ever has.
      files.remove('/etc/apt/apt.conf.d/99mmdebstrap')
      if (plan.purpose === 'command')
        files.write('/etc/dpkg/dpkg.cfg.d/unsafe-io', template('unsafe-io'))
    },

    'apt-sources'({ files, plan }) {
      const { archive } = plan
      if (archive.family === 'apt') writeAptSources(files, { ...plan, archive })
    },

    'pacman-configuration'({ files, plan }) {
      const { archive } = plan
      if (archive.family === 'pacman') writePacmanConfiguration(files, { ...plan, archive })
    },

    'pacman-keyring'({ files }) {
      cleanPacmanKeyring(files)
    },

    'rpm-database'({ files }) {
      // Nobody in the tree looks for one in root's home.
      files.remove('/root/.rpmdb')
    },

    'zypper-repositories'({ files, plan }) {
      const { archive } = plan
      if (archive.family === 'rpm') writeZypperRepositories(files, archive)
    },

    'package-caches'({ files }) {
      files.empty('/var/cache/pacman/pkg')
      files.empty('/var/cache/apt/archives', (name) => name === 'partial')
      files.empty('/var/cache/apt', (name) => name === 'archives')
      // apt wants these directories, with their owners.
      files.empty('/var/lib/apt/lists', (name) => name === 'partial' || name === 'auxfiles')
      files.empty('/var/lib/apt/lists/partial')
      files.remove('/var/cache/ldconfig/aux-cache')
      for (const name of ['dnf', 'libdnf5', 'yum', 'zypp']) files.remove(`/var/cache/${name}`)
      for (const directory of ['/var/cache/debconf', '/var/lib/dpkg']) {
        files.empty(directory, (name) => !name.endsWith('-old'))
      }
    },

    logs({ files }) {
      for (const name of ['bootstrap.log', 'dpkg.log', 'alternatives.log', 'faillog', 'pacman.log'])
        files.remove(`/var/log/${name}`)
      for (const name of files.list('/var/log'))
        if (/^(dnf|hawkey|yum).*\.log/.test(name)) files.remove(`/var/log/${name}`)
      for (const directory of ['/var/log/apt', '/var/log/zypp', '/tmp', '/var/tmp', '/run'])
        files.empty(directory)
    },

    'device-nodes'({ files }) {
      // Containers get a /dev of their own, and nodes cannot be copied or unpacked without privileges.
      files.empty('/dev')
    },
  }

/** What programs of the tree may have left behind. */
const leftovers: readonly FinishingItem[] = ['machine-id', 'package-caches', 'logs', 'device-nodes']

/** Takes away again what came into a finished tree after that. */
export async function tidyTree(context: FinishingContext): Promise<void> {
  const again = context.plan.finishing.filter((item) => leftovers.includes(item))
  for (const item of again) await items[item](context)
}

/** Does the plan's items in order, then sees to the root directory itself. */
export async function finishTree(context: FinishingContext): Promise<void> {
  for (const item of context.plan.finishing) await items[item](context)
  const { root } = context.files
  chownSync(root, 0, 0)
  chmodSync(root, 0o755)
}
