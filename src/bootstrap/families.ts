/** The package managers there are. */
import type { Archive } from './archives/archive.ts'
import { apt } from './families/apt.ts'
import { rpm } from './families/rpm.ts'
import type { Family } from './families/family.ts'

const families: Readonly<Partial<Record<Archive['family'], Family>>> = { apt, rpm }

export function familyOf({ archive }: { readonly archive: Archive }): Family {
  return families[archive.family]!
}
