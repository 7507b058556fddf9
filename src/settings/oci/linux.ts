/** `linux` of a bundle: namespaces, ids, devices, kernel parameters, labels (config-linux.md). */
import { parseSlice } from '../values/slice.ts'
import type { DeviceNode } from '../settings.ts'
import { simplifyPath } from '../values/path.ts'
import type { Reading } from './bundle.ts'
import { badBundle } from './config.ts'
import { resourceEntries } from './resources.ts'
import type { Config } from './schema.ts'
import { readSeccomp } from './seccomp.ts'
import { readSysctls } from './sysctl.ts'

type Linux = NonNullable<Config['linux']>

export function linuxEntries(reading: Reading): void {
  const { config, text, say, add } = reading
  const { linux = {} } = config
  namespaceEntries(linux, reading)
  userNamespaceEntries(linux, reading)
  if (linux.devices !== undefined) {
    const devices = linux.devices.map((device, at) => readDevice(device, at, text.path))
    add(undefined, 'linux.devices', { devices })
  }
  const sysctls = readSysctls(reading)
  if (Object.keys(sysctls).length > 0) add(undefined, 'linux.sysctl', { sysctls })
  if (linux.seccomp !== undefined) {
    const seccomp = readSeccomp(linux.seccomp, text.path)
    add('system-call-filter', 'linux.seccomp', { seccomp })
  }
  if (linux.cgroupsPath !== undefined && linux.cgroupsPath !== '') {
    const slice = sliceOf(linux.cgroupsPath, text.path)
    say('slice', 'linux.cgroupsPath', ({ settings }) => (settings.slice = slice))
  }
  const { mountLabel, personality } = linux
  if (mountLabel !== undefined && mountLabel !== '') {
    say(undefined, 'linux.mountLabel', ({ settings }) => {
      settings.selinux = { ...settings.selinux, apifsContext: mountLabel }
    })
  }
  if (personality !== undefined) {
    say('personality', 'linux.personality', ({ settings }) => {
      settings.personality = personality.domain === 'LINUX32' ? 'host-32-bit' : 'host'
    })
  }
  resourceEntries(linux.resources, reading)
}

function namespaceEntries({ namespaces }: Linux, { text, say }: Reading): void {
  // Without a list there is nothing that the container was to share.
  if (namespaces === undefined) return
  const field = ['linux', 'namespaces']
  const types = namespaces.map(({ type }) => type)
  for (const [at, { type, path }] of namespaces.entries()) {
    if (types.indexOf(type) !== at)
      throw badBundle(text.path, [...field, at], `${type} is there twice`)
    if (path !== undefined && type !== 'network') {
      throw badBundle(
        text.path,
        [...field, at, 'path'],
        `an existing ${type} namespace cannot be joined`,
        'only one of type network can',
      )
    }
  }
  if (!types.includes('mount'))
    throw badBundle(text.path, field, 'mount is missing: a container has mounts of its own')
  const unlisted = (['pid', 'ipc', 'uts', 'cgroup'] as const).filter(
    (type) => !types.includes(type),
  )
  say(undefined, 'linux.namespaces', (draft) => {
    draft.unlistedNamespaces = unlisted
  })
  const network = namespaces.find(({ type }) => type === 'network')
  say('network', 'linux.namespaces', ({ settings }) => {
    settings.privateNetwork = network !== undefined
    settings.network = { ...settings.network, namespacePath: network?.path }
  })
}

function userNamespaceEntries(linux: Linux, { text, say }: Reading): void {
  const { namespaces = [], uidMappings, gidMappings } = linux
  const [users, groups] = [uidMappings?.[0], gidMappings?.[0]]
  if (!namespaces.some(({ type }) => type === 'user')) {
    if (users === undefined && groups === undefined) return
    throw badBundle(
      text.path,
      ['linux', 'uidMappings'],
      'it needs a user namespace in linux.namespaces',
    )
  }
  if (users === undefined) throw badBundle(text.path, ['linux', 'uidMappings'], 'it is missing')
  if (groups?.hostID !== users.hostID || groups.size !== users.size) {
    throw badBundle(
      text.path,
      ['linux', 'gidMappings'],
      'it is not the same as linux.uidMappings',
      'users and groups have one range',
    )
  }
  const { hostID: base, size: length } = users
  if (base + length > 0xffffffff)
    throw badBundle(text.path, ['linux', 'uidMappings', 0], 'it goes beyond the last id')
  say('user-namespace', 'linux.uidMappings', (draft) => {
    draft.settings.privateUsers = { mode: 'range', base, length }
    // Owners of files are as the maker of the bundle left them.
    draft.ownership = 'off'
  })
}

function readDevice(
  device: NonNullable<Linux['devices']>[number],
  at: number,
  file: string,
): DeviceNode {
  const field = ['linux', 'devices', at]
  const { type, path, major, minor, fileMode = 0o644, uid = 0, gid = 0 } = device
  if (type !== 'p' && (major === undefined || minor === undefined))
    throw badBundle(file, field, 'a device needs major and minor')
  return {
    path: simplifyPath(path),
    type: type === 'p' ? 'fifo' : type === 'b' ? 'block' : 'character',
    major: major ?? 0,
    minor: minor ?? 0,
    mode: fileMode & 0o7777,
    uid,
    gid,
  }
}

/** `/user.slice/machine-web.slice` is `machine-web.slice`: the names of slices say where they are. */
function sliceOf(path: string, file: string): string {
  const name = path.replace(/\/+$/, '').split('/').at(-1) ?? ''
  const refused = (hint: string) =>
    badBundle(file, ['linux', 'cgroupsPath'], `"${path}" is no path of a slice`, hint)
  if (!name.endsWith('.slice')) throw refused('write /NAME.slice, or leave it out')
  try {
    return parseSlice(name).name
  } catch (error) {
    throw refused((error as Error).message)
  }
}
