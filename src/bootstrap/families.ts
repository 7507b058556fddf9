/** The package managers there are. */
import type { Archive } from './archives/archive.ts'
import { apt } from './families/apt.ts'
import { pacman } from './families/pacman.ts'
import { rpm } from './families/rpm.ts'
import type { Family } from './families/family.ts'

const families: Readonly<Record<Archive['family'], Family>> = { apt, pacman, rpm }

export function familyOf({ archive }: { readonly archive: Archive }): Family {
  return families[archive.family]
}
