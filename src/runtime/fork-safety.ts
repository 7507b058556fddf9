/** Sees to it that Node runs with the flags that a fork needs. */
import { hasForkSafeFlags, START_FLAGS } from './fork-safe-flags.ts'
import { startAnew } from './start-anew.ts'

/** Starts this program anew when Node was started without the flags; the launcher's first line has them. */
export function ensureForkSafe(): void {
  if (!hasForkSafeFlags()) startAnew(START_FLAGS)
}
