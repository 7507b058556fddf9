/** `mounts` of a bundle, and its masked and read-only paths, as mounts of the user's own (config.md, "Mounts"). */
import { nearest } from '../nearest.ts'
import type { CustomMount, FileSystemFlag, MountAttribute } from '../settings.ts'
import { absolutePath, simplifyPath } from '../values/path.ts'
import { badBundle, type BundleText } from './config.ts'
import type { Config } from './schema.ts'

type Mount = NonNullable<Config['mounts']>[number]

/** What every container has, by destination: the types that mean just that. */
const made: Readonly<Record<string, readonly string[]>> = {
  '/proc': ['proc'],
  '/sys': ['sysfs'],
  '/dev': ['tmpfs', 'devtmpfs'],
  '/dev/pts': ['devpts'],
  '/dev/mqueue': ['mqueue'],
  '/run': ['tmpfs'],
}

const cgroupTypes: readonly string[] = ['cgroup', 'cgroup2', 'tmpfs']

const fileSystemFlags: readonly FileSystemFlag[] = [
  'ro',
  'nosuid',
  'nodev',
  'noexec',
  'strictatime',
  'relatime',
  'noatime',
  'nodiratime',
  'lazytime',
  'sync',
  'dirsync',
  'nosymfollow',
]

/** What holds anyway. */
const idle: readonly string[] = [
  'rw',
  'suid',
  'dev',
  'exec',
  'async',
  'defaults',
  'atime',
  'diratime',
]

/** A copy of the host's mounts that the host does not change later, or does. */
const propagations: Readonly<Record<string, 'private' | undefined>> = {
  private: 'private',
  rprivate: 'private',
  slave: undefined,
  rslave: undefined,
}

const attributes: readonly MountAttribute[] = ['ro', 'nosuid', 'nodev', 'noexec']

/** @throws NspawnError `BAD_BUNDLE` */
export function readMounts({ mounts = [], linux = {} }: Config, text: BundleText): CustomMount[] {
  const { maskedPaths = [], readonlyPaths = [] } = linux
  return [
    ...mounts.flatMap((mount, at) => readMount(mount, text, ['mounts', at])),
    ...maskedPaths.map((path) => mask(innerPath(path, text, 'maskedPaths'))),
    ...readonlyPaths.map((path) => seal(innerPath(path, text, 'readonlyPaths'))),
  ]
}

type Field = readonly PropertyKey[]

function readMount(mount: Mount, text: BundleText, field: Field): CustomMount[] {
  const { source = '', type = '', options = [] } = mount
  const destination = simplifyPath(mount.destination)
  const at = [...field, 'destination']
  if (destination === '/') throw badBundle(text.path, at, 'the root is said in root.path')
  if (destination.split('/').includes('..')) throw badBundle(text.path, at, 'it has ".." in it')
  const isBind =
    type === '' || type === 'bind' || options.includes('bind') || options.includes('rbind')
  const types = destination.startsWith('/sys/fs/cgroup') ? cgroupTypes : made[destination]
  if (types?.includes(type) === true && !isBind) return []
  if (
    made[destination] !== undefined &&
    destination !== '/dev/pts' &&
    destination !== '/dev/mqueue'
  ) {
    throw badBundle(
      text.path,
      at,
      `every container has a ${destination} of its own`,
      'mount what lies below it',
    )
  }
  return [
    isBind
      ? readBind(mount, destination, text, field)
      : readFileSystem(mount, destination, source, text, field),
  ]
}

function readBind(
  { source = '', options = [] }: Mount,
  destination: string,
  text: BundleText,
  field: Field,
): CustomMount {
  if (source === '') throw badBundle(text.path, [...field, 'source'], 'it is missing')
  let recursive = true
  let propagation: 'private' | undefined
  const wanted: MountAttribute[] = []
  for (const [index, option] of options.entries()) {
    const attribute = attributes.find(
      (name) => name === option || (name === 'ro' && option === 'rro'),
    )
    if (option === 'bind' || option === 'rbind') recursive = option === 'rbind'
    else if (attribute !== undefined) wanted.push(attribute)
    else if (Object.hasOwn(propagations, option)) propagation = propagations[option]
    else if (!idle.includes(option))
      throw unknownOption(option, text, field, index, [
        ...attributes,
        'rbind',
        'bind',
        ...Object.keys(propagations),
      ])
  }
  return {
    kind: 'bind',
    source: { kind: 'host', path: absolutePath(source, text.directory) },
    destination,
    access: wanted.includes('ro') ? 'read-only' : 'read-write',
    recursive,
    idMap: 'noidmap',
    ...(wanted.length === 0 ? {} : { attributes: wanted }),
    ...(propagation === undefined ? {} : { propagation }),
  }
}

function readFileSystem(
  { type = '', options = [] }: Mount,
  destination: string,
  source: string,
  text: BundleText,
  field: Field,
): CustomMount {
  if (!/^[\w.-]+$/.test(type)) throw badBundle(text.path, [...field, 'type'], 'it is no type')
  const flags: FileSystemFlag[] = []
  const own: string[] = []
  for (const [index, option] of options.entries()) {
    const flag = fileSystemFlags.find((name) => name === option)
    if (flag !== undefined) flags.push(flag)
    else if (/^r?(?:shared|unbindable)$/.test(option))
      throw unknownOption(option, text, field, index, [])
    else if (!idle.includes(option) && !Object.hasOwn(propagations, option)) own.push(option)
  }
  const from = source === '' ? type : source
  return {
    kind: 'file-system',
    fstype: type,
    source: from,
    destination,
    flags,
    options: own.join(','),
  }
}

function unknownOption(
  option: string,
  text: BundleText,
  field: Field,
  index: number,
  known: readonly string[],
): Error {
  const guess = nearest(option, known)
  return badBundle(
    text.path,
    [...field, 'options', index],
    `the mount option ${JSON.stringify(option)} is not supported`,
    guess === undefined ? undefined : `did you mean ${guess}?`,
  )
}

function innerPath(path: string, text: BundleText, name: string): string {
  const simple = simplifyPath(path)
  if (simple !== '/' && !simple.split('/').includes('..')) return simple
  throw badBundle(text.path, ['linux', name], `"${path}" cannot be covered`)
}

const mask = (destination: string): CustomMount => ({
  kind: 'inaccessible',
  destination,
  missing: 'ignore',
})

const seal = (destination: string): CustomMount => ({
  kind: 'bind',
  source: { kind: 'container', path: destination },
  destination,
  access: 'read-only',
  recursive: true,
  idMap: 'noidmap',
  missing: 'ignore',
})
