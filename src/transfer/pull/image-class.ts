/** What an image is for: it decides in which directory it lies, and what it may be called. */
import { usageError } from '../../errors.ts'
import { isImageName } from '../../images/names.ts'
import { isMachineName } from '../../machine-name.ts'

export const imageClasses = ['machine', 'portable', 'sysext', 'confext'] as const
export type ImageClass = (typeof imageClasses)[number]

/** Where images of a class lie; machines have a directory that can be chosen. @see importctl(1), "--class=" */
export function classDirectory(imageClass: ImageClass, machinesDirectory: string): string {
  switch (imageClass) {
    case 'machine':
      return machinesDirectory
    case 'portable':
      return '/var/lib/portables'
    case 'sysext':
      return '/var/lib/extensions'
    case 'confext':
      return '/var/lib/confexts'
  }
}

/** @throws NspawnError `USAGE` when no image of the class can have the name */
export function checkName(name: string, imageClass: ImageClass): void {
  if (imageClass === 'machine' ? isMachineName(name) : isImageName(name)) return
  const what = imageClass === 'machine' ? 'machine' : 'image'
  throw usageError(
    `"${name}" cannot be the name of ${what === 'machine' ? 'a' : 'an'} ${what}`,
    'give it another one, as the second argument',
  )
}
