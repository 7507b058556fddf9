/**
 * The `config.json` of an OCI runtime bundle, as far as a container can have what it says: everything else is
 * refused, by name where the specification knows it (fields.ts).
 *
 * @see https://github.com/opencontainers/runtime-spec: config.md, config-linux.md
 */
import { z } from 'zod'
import { capabilityNames } from '../values/capability.ts'
import { resourceLimitNames } from '../values/resource-limit.ts'
import { seccompSchema } from './seccomp-schema.ts'

/** What the kernel takes ends at a NUL. */
const text = z.string().refine((value) => !value.includes('\0'), 'it contains a NUL')
const word = text.min(1, 'it is empty')
const absolute = word.refine((value) => value.startsWith('/'), 'it is not an absolute path')
const count = z.int().min(0)
const id = z.int().min(0).max(0xfffffffe)
const deviceNumber = z.int().min(0).max(0xfffff)
const assignment = text.refine((value) => value.indexOf('=') > 0, 'it is not NAME=VALUE')

/** Names in an object; `__proto__` and its like are ordinary ones. */
const named = <T extends z.ZodType>(value: T) => z.record(word, value)

const capabilitySet = z.array(
  z.string().refine((name) => capabilityNames.includes(name), 'there is no such capability'),
)

const processSchema = z.strictObject({
  terminal: z.boolean().optional(),
  consoleSize: z
    .strictObject({ height: z.int().min(1).max(65535), width: z.int().min(1).max(65535) })
    .optional(),
  user: z
    .strictObject({
      uid: id,
      gid: id,
      umask: z.int().min(0).max(0o777).optional(),
      additionalGids: z.array(id).max(65536).optional(),
    })
    .optional(),
  args: z.array(text).min(1, 'it names no program').optional(),
  env: z.array(assignment).optional(),
  cwd: absolute,
  capabilities: z
    .strictObject({
      bounding: capabilitySet.optional(),
      effective: capabilitySet.optional(),
      inheritable: capabilitySet.optional(),
      permitted: capabilitySet.optional(),
      ambient: capabilitySet.optional(),
    })
    .optional(),
  rlimits: z
    .array(
      z.strictObject({
        type: z
          .string()
          .refine(
            (name) => resourceLimitNames.some((known) => name === `RLIMIT_${known}`),
            'there is no such limit',
          ),
        soft: z.number().int(),
        hard: z.number().int(),
      }),
    )
    .optional(),
  noNewPrivileges: z.boolean().optional(),
  oomScoreAdj: z.int().min(-1000).max(1000).optional(),
  selinuxLabel: text.optional(),
})

const mountSchema = z.strictObject({
  destination: absolute,
  source: text.optional(),
  type: text.optional(),
  options: z.array(word).optional(),
})

const hooksSchema = z.array(
  z.strictObject({
    path: absolute,
    args: z.array(text).optional(),
    env: z.array(assignment).optional(),
    timeout: z.int().min(1, 'it is no time to run in').optional(),
  }),
)

const mappingSchema = z
  .array(
    z.strictObject({
      containerID: z.literal(0, 'only a mapping that begins with 0 is supported'),
      hostID: id,
      size: z.int().min(1).max(0xffffffff),
    }),
  )
  .length(1, 'only one mapping is supported')

const deviceSchema = z.strictObject({
  type: z.enum(['c', 'u', 'b', 'p']),
  path: absolute.refine(
    (path) => /^\/dev\/(?!\.\.?(?:\/|$))[^/]/.test(path) && !/\/\.\.?(?:\/|$)/.test(path),
    'only nodes below /dev are supported',
  ),
  major: deviceNumber.optional(),
  minor: deviceNumber.optional(),
  fileMode: z.int().min(0).max(0o7777).optional(),
  uid: id.optional(),
  gid: id.optional(),
})

const throttleSchema = z.array(
  z.strictObject({ major: deviceNumber, minor: deviceNumber, rate: count }),
)

const resourcesSchema = z.strictObject({
  devices: z
    .array(
      z.strictObject({
        allow: z.boolean(),
        type: z.enum(['a', 'b', 'c']).optional(),
        major: z.int().min(-1).max(0xfff).optional(),
        minor: z.int().min(-1).max(0xfffff).optional(),
        access: z
          .string()
          .regex(/^[rwm]{1,3}$/, 'it is not made of r, w and m')
          .optional(),
      }),
    )
    .optional(),
  memory: z
    .strictObject({
      limit: z.int().min(-1).optional(),
      reservation: z.int().min(-1).optional(),
      swap: z.int().min(-1).optional(),
    })
    .optional(),
  cpu: z
    .strictObject({
      shares: z.int().min(0).max(262144).optional(),
      quota: z.int().min(-1).optional(),
      period: count.optional(),
      cpus: text.optional(),
    })
    .optional(),
  pids: z.strictObject({ limit: z.int().min(-1) }).optional(),
  blockIO: z
    .strictObject({
      weight: z.int().min(10).max(1000).optional(),
      throttleReadBpsDevice: throttleSchema.optional(),
      throttleWriteBpsDevice: throttleSchema.optional(),
      throttleReadIOPSDevice: throttleSchema.optional(),
      throttleWriteIOPSDevice: throttleSchema.optional(),
    })
    .optional(),
})

const linuxSchema = z.strictObject({
  namespaces: z
    .array(
      z.strictObject({
        type: z.enum(['pid', 'network', 'ipc', 'uts', 'user', 'cgroup', 'mount']),
        path: absolute.optional(),
      }),
    )
    .optional(),
  uidMappings: mappingSchema.optional(),
  gidMappings: mappingSchema.optional(),
  devices: z.array(deviceSchema).optional(),
  cgroupsPath: text.optional(),
  resources: resourcesSchema.optional(),
  sysctl: named(text).optional(),
  seccomp: seccompSchema.optional(),
  rootfsPropagation: z
    .enum(['private', 'rprivate'], 'only private and rprivate are supported')
    .optional(),
  maskedPaths: z.array(absolute).optional(),
  readonlyPaths: z.array(absolute).optional(),
  mountLabel: text.optional(),
  personality: z
    .strictObject({
      domain: z.enum(['LINUX', 'LINUX32']),
    })
    .optional(),
})

export const configSchema = z.strictObject({
  ociVersion: z
    .string()
    .regex(/^1\.\d+\.\d+(?:[-+].*)?$/, 'only version 1 of the specification is supported'),
  process: processSchema.optional(),
  root: z.strictObject({ path: word, readonly: z.boolean().optional() }).optional(),
  hostname: text.optional(),
  domainname: text.optional(),
  mounts: z.array(mountSchema).optional(),
  hooks: z
    .strictObject({
      prestart: hooksSchema.optional(),
      createRuntime: hooksSchema.optional(),
      startContainer: hooksSchema.optional(),
      poststart: hooksSchema.optional(),
      poststop: hooksSchema.optional(),
    })
    .optional(),
  annotations: named(text).optional(),
  linux: linuxSchema.optional(),
})

export type Config = z.infer<typeof configSchema>
