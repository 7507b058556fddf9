/** `auto` modes of /etc/resolv.conf and /etc/localtime, decided from facts about the host. */
import type { ResolvConfMode, Settings, TimezoneMode } from '../settings/settings.ts'
import type { HostFacts } from './host-facts.ts'

/** Whether the container's /etc can be written: what `auto` modes go by. */
function hasWritableEtc(settings: Settings, tree: TreeAccess): boolean {
  return tree === 'read-write' || settings.volatile === 'yes' || settings.volatile === 'overlay'
}

/** Of the tree as it is mounted, which `--volatile=` makes read-only. */
type TreeAccess = 'read-write' | 'read-only'

/** systemd-nspawn(1) `--resolv-conf=auto`. */
export function decideResolvConf(
  settings: Settings,
  facts: HostFacts,
  tree: TreeAccess,
): Exclude<ResolvConfMode, 'auto'> {
  if (settings.resolvConf !== 'auto') return settings.resolvConf
  // Who has a way out through the host resolves names as the host does.
  if (settings.privateNetwork && settings.network.setup === 'no') return 'off'
  const verb = hasWritableEtc(settings, tree) ? 'copy' : 'bind'
  // resolved's stub listens on a loopback address of the host.
  if (settings.privateNetwork && facts.resolvConf.stub) return `${verb}-uplink`
  if (facts.resolvConf.stub) return `${verb}-stub`
  if (facts.resolvConf.host) return `${verb}-host`
  return hasWritableEtc(settings, tree) ? 'delete' : 'off'
}

/** systemd-nspawn(1) `--timezone=auto`. */
export function decideTimezone(
  settings: Settings,
  facts: HostFacts,
  tree: TreeAccess,
): Exclude<TimezoneMode, 'auto'> {
  if (settings.timezone !== 'auto') return settings.timezone
  const writable = hasWritableEtc(settings, tree)
  switch (facts.localtime) {
    case 'missing':
      return writable ? 'delete' : 'off'
    case 'file':
      return writable ? 'copy' : 'bind'
    case 'symlink':
      return writable ? 'symlink' : 'bind'
  }
}

const resolvConfSources: Readonly<Record<string, string>> = {
  host: '/etc/resolv.conf',
  static: '/usr/lib/systemd/resolv.conf',
  uplink: '/run/systemd/resolve/resolv.conf',
  stub: '/run/systemd/resolve/stub-resolv.conf',
}

/** The host file that a `copy-`, `replace-` or `bind-` mode takes. */
export function resolvConfSource(mode: ResolvConfMode): string {
  return resolvConfSources[mode.slice(mode.indexOf('-') + 1)] ?? '/etc/resolv.conf'
}
