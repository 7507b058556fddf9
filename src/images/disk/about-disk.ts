/** Errors of those who see only the bytes of a disk image, told with the image. */
import { NspawnError } from '../../errors.ts'

/** Does `work`; what fails in it is about the image at `path`. */
export function aboutDisk<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof NspawnError) || error.subject !== undefined) throw error
    const { code, operation, status, hint, log, cause } = error
    throw new NspawnError(error.message, {
      code,
      operation,
      subject: path,
      status,
      hint,
      log,
      cause,
    })
  }
}
