/** What systemd-nspawn has and this version has not is refused by name, never passed over. */
import { NspawnError } from '../errors.ts'

const hint = 'docs/options.md lists what is supported'

/**
 * An option or value that systemd-nspawn knows and we do not.
 *
 * @param what as the user wrote it (`option --image=`)
 * @param instead what to use meanwhile; one sentence, no full stop
 */
export function unsupported(what: string, instead: string = hint): NspawnError {
  return new NspawnError(`${what} is not supported by this version of tsnspawn`, {
    code: 'NOT_SUPPORTED',
    hint: instead,
  })
}
