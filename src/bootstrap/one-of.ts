/** The hint for a name that nothing has: what was probably meant, else all that there is. */
import { nearest } from '../settings/nearest.ts'

export function oneOf(said: string, names: readonly string[]): string {
  const meant = nearest(said, names)
  const all = `there are: ${names.join(', ')}`
  return meant === undefined ? all : `perhaps ${meant} was meant; ${all}`
}
