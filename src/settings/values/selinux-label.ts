/** SELinux labels as words: whether one means something only the policy of the host knows. */
import { usageError } from '../../errors.ts'

/** @throws NspawnError (`USAGE`) for what no label can be: nothing, or with blanks or quotes */
export function parseSelinuxLabel(text: string): string {
  if (/^[^\s"'\p{Cc}]+$/u.test(text)) return text
  throw usageError(
    `"${text}" is not an SELinux label`,
    'write USER:ROLE:TYPE:LEVEL, such as system_u:system_r:container_t:s0',
  )
}
