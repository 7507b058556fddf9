/**
 * Every exit status of `tsnspawn-build`, in one place; `docs/cli.md` shows the same table. Scripts
 * tell by it whether the input, the archive, the package or this program is to blame.
 */
import { NspawnError } from '../errors.ts'

export const exitCodes = {
  success: 0,
  /** The package's own build failed, or its results are not what it promised. */
  build: 1,
  /** Bad option, unknown name, not root: nothing has been changed. */
  usage: 2,
  /** Build dependencies cannot be installed. */
  dependency: 3,
  /** Tests failed. */
  test: 4,
  /** The source cannot be fetched, or fails its checksum or signature. */
  source: 5,
  /** A time limit ran out. */
  timeout: 6,
  /** A memory, task or disk limit was hit; a full disk too. */
  limit: 7,
  /** A tree could not be made or is not what the recipe promises. */
  bootstrap: 8,
  /** An image or machine is in use by someone else. */
  busy: 9,
  /** Ours: a kernel feature, a host program, or a bug. */
  internal: 10,
} as const

export type ExitClass = keyof typeof exitCodes

/** A code, or a prefix when it ends in `_`, and the class it belongs to; the first that fits counts. */
const classOfCode: readonly (readonly [string, ExitClass])[] = [
  ['USAGE', 'usage'],
  ['NOT_ROOT', 'usage'],
  ['NOT_SUPPORTED', 'usage'],
  ['IMAGE_NOT_FOUND', 'usage'],
  ['NOT_AN_OS_TREE', 'usage'],
  ['NO_MACHINE_NAME', 'usage'],
  ['IMAGE_EXISTS', 'usage'],
  ['QUOTA_OFF', 'usage'],
  ['EROFS', 'usage'],
  ['MACHINE_NOT_FOUND', 'usage'],
  ['MACHINE_DEAF', 'usage'],
  ['NO_SUCH_USER', 'usage'],
  ['NO_SUCH_BUILD', 'usage'],
  ['INVALID_', 'usage'],
  ['RECIPE_', 'usage'],
  ['SUITE_', 'usage'],
  ['TRANSFER_NOT_FOUND', 'usage'],
  ['KEYRING_NOT_FOUND', 'usage'],
  ['NO_SUCH_PLATFORM', 'usage'],
  ['BAD_REGISTRY_FILE', 'usage'],
  ['BAD_AUTH_FILE', 'usage'],
  ['SOURCE_', 'source'],
  ['CHECKSUM_', 'source'],
  ['SIGNATURE_', 'source'],
  ['NOT_FOUND', 'source'],
  ['HTTP_STATUS', 'source'],
  ['UNAUTHORIZED', 'source'],
  ['INSECURE_REALM', 'source'],
  ['BAD_TOKEN', 'source'],
  ['BAD_MANIFEST', 'source'],
  ['BAD_DIGEST', 'source'],
  ['BAD_IMAGE_CONFIG', 'source'],
  ['UNSUPPORTED_IMAGE', 'source'],
  ['SERVER_BUSY', 'source'],
  ['REDIRECT_LOOP', 'source'],
  ['BAD_REDIRECT', 'source'],
  ['BAD_RANGE', 'source'],
  ['BAD_ARMOUR', 'source'],
  ['BAD_COMPRESSION', 'source'],
  ['UNKNOWN_COMPRESSION', 'source'],
  ['BAD_ARCHIVE', 'source'],
  ['BAD_QCOW2', 'source'],
  ['UNSUPPORTED_QCOW2', 'source'],
  ['TRUNCATED_ARCHIVE', 'source'],
  ['ARCHIVE_TOO_LARGE', 'source'],
  ['FILE_CHANGED', 'source'],
  ['SIZE_MISMATCH', 'source'],
  ['TOO_LARGE', 'source'],
  ['TRUNCATED', 'source'],
  ['STALLED', 'source'],
  ['NETWORK', 'source'],
  ['TLS', 'source'],
  ['ECONNREFUSED', 'source'],
  ['ECONNRESET', 'source'],
  ['ENOTFOUND', 'source'],
  ['EAI_AGAIN', 'source'],
  ['ETIMEDOUT', 'source'],
  ['EHOSTUNREACH', 'source'],
  ['ENETUNREACH', 'source'],
  ['TRANSFER_CANCELED', 'source'],
  ['DEPENDENCY_', 'dependency'],
  ['DEPENDENCIES_', 'dependency'],
  ['BUILD_', 'build'],
  ['TEST_', 'test'],
  ['TESTS_', 'test'],
  ['TIMEOUT', 'timeout'],
  ['TIMED_OUT', 'timeout'],
  ['LIMIT_', 'limit'],
  ['ENOSPC', 'limit'],
  ['EDQUOT', 'limit'],
  ['BOOTSTRAP_', 'bootstrap'],
  ['EBUSY', 'busy'],
  ['MACHINE_EXISTS', 'busy'],
  ['IMAGE_BUSY', 'busy'],
  ['IMAGE_LOCKED', 'busy'],
  ['LOCKED', 'busy'],
]

/** The class of a failure: the outermost error of the chain whose code is listed decides. */
export function exitClass(error: unknown): ExitClass {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    if (!(e instanceof NspawnError)) continue
    const { code } = e
    const row = classOfCode.find(([key]) =>
      key.endsWith('_') ? code.startsWith(key) : code === key,
    )
    if (row !== undefined) return row[1]
  }
  return 'internal'
}
