/** `linux.seccomp` of a bundle (OCI runtime specification, config-linux.md, "Seccomp"). */
import { z } from 'zod'

export const actionNames = [
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_LOG',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_TRAP',
] as const

export const operatorNames = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const

/** A filter says the same of every architecture; only these can run on a host that we run on. */
const architecture = z
  .string()
  .regex(/^SCMP_ARCH_[A-Z0-9_]+$/, 'it is not the name of an architecture')

const action = z.enum(actionNames, `only ${actionNames.join(', ')} are supported`)
const errno = z.int().min(0).max(4095)
/** JSON's numbers are exact up to 2⁵³. */
const argument = z.int('it is not a whole number below 2⁵³').min(0)

export const seccompSchema = z.strictObject({
  defaultAction: action,
  defaultErrnoRet: errno.optional(),
  flags: z
    .array(
      z.enum(
        ['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_LOG'],
        'only SECCOMP_FILTER_FLAG_TSYNC and SECCOMP_FILTER_FLAG_LOG are supported',
      ),
    )
    .optional(),
  architectures: z.array(architecture).optional(),
  syscalls: z
    .array(
      z.strictObject({
        names: z.array(z.string().min(1)).min(1),
        action,
        errnoRet: errno.optional(),
        args: z
          .array(
            z.strictObject({
              index: z.int().min(0).max(5),
              value: argument,
              valueTwo: argument.optional(),
              op: z.enum(operatorNames),
            }),
          )
          .optional(),
      }),
    )
    .optional(),
})
