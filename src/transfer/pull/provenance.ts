/** Marks on files that say from where they came, as systemd's importd sets them. */
import { setXattr } from '../../sys/xattr.ts'
import { withoutSecrets } from '../url.ts'

export interface Origin {
  readonly etag: string | undefined
  /** Milliseconds since 1970. */
  readonly modifiedMs: number | undefined
}

/** Sets what the file system takes; the file is as good without. */
export function markProvenance(path: string, url: URL, origin: Origin): void {
  const crtime = Buffer.alloc(8)
  crtime.writeBigUInt64LE(BigInt(Math.round((origin.modifiedMs ?? 0) * 1000)))
  try {
    setXattr(path, 'user.source_url', Buffer.from(withoutSecrets(url)))
    if (origin.etag !== undefined) setXattr(path, 'user.source_etag', Buffer.from(origin.etag))
    if (origin.modifiedMs !== undefined) setXattr(path, 'user.crtime_usec', crtime)
  } catch (error) {
    const { code } = error as { code?: string }
    if (!['EOPNOTSUPP', 'ENOTSUP', 'ENOSPC', 'EDQUOT', 'E2BIG', 'ERANGE'].includes(code ?? ''))
      throw error
  }
}
