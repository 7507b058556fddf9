/** Rows about OCI bundles: the original reads them too, version 1.0.0 alone, and needs a bus for resources. */
import type { ParityCase } from '../case.ts'
import { row } from './facts.ts'
import { refusal } from './outcomes.ts'

const namespaces = ['pid', 'ipc', 'uts', 'mount', 'cgroup']
const named = (...types: string[]) => types.map((type) => ({ type }))
const capabilitySets = (...names: string[]) =>
  Object.fromEntries(
    ['bounding', 'effective', 'permitted', 'inheritable', 'ambient'].map((set) => [set, names]),
  )

interface Parts {
  readonly process?: object
  readonly linux?: object
  readonly others?: object
}

/** Shell that writes a bundle called as the machine is; its tree is the one of all rows. */
function bundle({ process = {}, linux = {}, others = {} }: Parts): string {
  const config = {
    ociVersion: '1.0.0',
    process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['true'], cwd: '/', ...process },
    root: { path: '$TREE' },
    ...others,
    linux: { namespaces: named(...namespaces), ...linux },
  }
  return `mkdir -p "$FILES/parity"\ncat > "$FILES/parity/config.json" <<EOF\n${JSON.stringify(config)}\nEOF`
}

const option = '--oci-bundle='
const args: ParityCase['args'] = ({ files }) => [`${option}${files}/parity`]

const compared = (title: string, parts: Parts, more: Partial<ParityCase> = {}): ParityCase => ({
  ...row(option, title, [], { prepare: bundle(parts), ownRoot: true, ...more }),
  args,
})

const refused = (title: string, parts: Parts, names: RegExp): ParityCase => ({
  ...refusal(option, title, [], names),
  prepare: bundle(parts),
  ownRoot: true,
  args,
})

const mapping = [{ containerID: 0, hostID: 1048576, size: 65536 }]

export const bundleCases: readonly ParityCase[] = [
  compared('as little as can be', {}),
  compared('with a network of its own', { linux: { namespaces: named(...namespaces, 'network') } }),
  compared('with the IPC namespace of the host', {
    linux: { namespaces: named('pid', 'uts', 'mount', 'cgroup') },
  }),
  compared('with a user by number', {
    process: { user: { uid: 33, gid: 34, additionalGids: [35, 36] } },
  }),
  compared('with an environment and a directory', {
    process: { env: ['A=b c', 'PATH=/bin:/usr/bin'], cwd: '/usr/share' },
  }),
  compared('with limits and an adjusted score', {
    process: {
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 50, hard: 60 }],
      oomScoreAdj: 500,
    },
  }),
  compared('with exact capabilities', {
    process: { capabilities: capabilitySets('CAP_SYS_ADMIN', 'CAP_KILL', 'CAP_SYS_PTRACE') },
  }),
  compared('with a host name', { others: { hostname: 'of-the-bundle' } }),
  compared('with mounts', {
    others: {
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
        { destination: '/srv/shared', source: '$FILES/shared', type: 'bind' },
        {
          destination: '/srv/memory',
          source: 'tmpfs',
          type: 'tmpfs',
          options: ['mode=0700', 'size=1m'],
        },
      ],
    },
  }),
  compared('with users of its own', {
    linux: { namespaces: named(...namespaces, 'user'), uidMappings: mapping, gidMappings: mapping },
  }),
  compared('with paths of its tree read-only', {
    linux: { maskedPaths: ['/no/such'], readonlyPaths: ['/usr/lib', '/etc/passwd'] },
  }),
  refused('no mount namespace', { linux: { namespaces: named('pid') } }, /mount/),
  refused('a namespace twice', { linux: { namespaces: named('mount', 'pid', 'pid') } }, /twice/),
  refused('a relative directory', { process: { cwd: 'x' } }, /process\.cwd/),
  refused('no program', { process: { args: [] } }, /process\.args/),
  refused(
    'an unknown capability',
    { process: { capabilities: { bounding: ['CAP_X'] } } },
    /bounding/,
  ),
  refused(
    'a limit twice',
    {
      process: {
        rlimits: [
          { type: 'RLIMIT_CORE', soft: 1, hard: 1 },
          { type: 'RLIMIT_CORE', soft: 1, hard: 1 },
        ],
      },
    },
    /RLIMIT_CORE/,
  ),
  refused('an unknown field', { others: { hostnme: 'a' } }, /hostnme/),
  refused(
    'two mappings',
    {
      linux: {
        namespaces: named(...namespaces, 'user'),
        uidMappings: [...mapping, ...mapping],
        gidMappings: mapping,
      },
    },
    /uidMappings/,
  ),
]
