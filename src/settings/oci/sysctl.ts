/** `linux.sysctl` and the domain name: kernel parameters that belong to a namespace (namespaces(7)). */
import type { Reading } from './bundle.ts'
import { badBundle } from './config.ts'

type Namespace = 'uts' | 'ipc' | 'network'

const byName: Readonly<Record<string, Namespace>> = {
  'kernel.domainname': 'uts',
  'kernel.hostname': 'uts',
  'kernel.msgmax': 'ipc',
  'kernel.msgmnb': 'ipc',
  'kernel.msgmni': 'ipc',
  'kernel.sem': 'ipc',
  'kernel.shmall': 'ipc',
  'kernel.shmmax': 'ipc',
  'kernel.shmmni': 'ipc',
  'kernel.shm_rmid_forced': 'ipc',
}

/** The namespace that a parameter belongs to; undefined for those of the whole host. */
function namespaceOf(name: string): Namespace | undefined {
  if (Object.hasOwn(byName, name)) return byName[name]
  if (name.startsWith('fs.mqueue.')) return 'ipc'
  return name.startsWith('net.') ? 'network' : undefined
}

/**
 * What is to be written below /proc/sys, by names with dots; the host name is left to those who set it anyway.
 *
 * @throws NspawnError `BAD_BUNDLE` for what would change the host
 */
export function readSysctls({ config, text, say }: Reading): Readonly<Record<string, string>> {
  const { linux = {}, hostname, domainname } = config
  const own = linux.namespaces?.map(({ type }) => type) ?? ['uts', 'ipc']
  const values: Record<string, string> = {}
  for (const [written, value] of Object.entries(linux.sysctl ?? {})) {
    const field = ['linux', 'sysctl', written]
    // As sysctl(8) has it: with slashes, dots are letters (net/ipv4/conf/eth0.1).
    const name = /^[^./]+\//.test(written) ? written.replaceAll(/[./]/g, swapped) : written
    if (!/^[a-z]\w*(?:\.[\w/-]+)+$/.test(name) || /(?:^|[./])\.*(?:[./]|$)/.test(name))
      throw badBundle(text.path, field, 'it is no kernel parameter')
    const namespace = namespaceOf(name)
    if (namespace === undefined)
      throw badBundle(text.path, field, 'it is one of the whole host, not of a container')
    if (!own.includes(namespace)) {
      throw badBundle(
        text.path,
        field,
        `it would change the host: there is no ${namespace} namespace in linux.namespaces`,
      )
    }
    values[name] = value
  }
  const { 'kernel.hostname': host, ...rest } = values
  if (host !== undefined && hostname !== undefined && host !== hostname)
    throw badBundle(text.path, ['linux', 'sysctl', 'kernel.hostname'], 'it is not the hostname')
  if (host !== undefined)
    say('hostname', 'linux.sysctl', ({ settings }) => (settings.hostname = host))
  if (domainname === undefined) return rest
  const { 'kernel.domainname': domain = domainname } = rest
  if (domain !== domainname)
    throw badBundle(text.path, ['linux', 'sysctl', 'kernel.domainname'], 'it is not the domainname')
  return { ...rest, 'kernel.domainname': domainname }
}

const swapped = (character: string): string => (character === '.' ? '/' : '.')
