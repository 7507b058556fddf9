/**
 * Says how the things would be called that a run makes on the host, and makes none: no lock, no directory, no
 * range of ids. Where a run draws a random number the name has zeroes, so that two plans of the same container are
 * the same. What only a try could tell (a file system that refuses an overlay) is taken to work.
 */
import { lstatSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { foreseeEphemeral } from '../images/ephemeral.ts'
import { hiddenTreePath } from '../images/hidden-tree.ts'
import { foreseeIdRange } from '../images/id-range.ts'
import { ZERO_SUFFIX } from '../images/random-suffix.ts'
import type { HostChanges } from './host-changes.ts'
import { TEMPORARY_DIRECTORY } from './made-host-changes.ts'
import { sharedPropagateDirectory } from './propagate.ts'

export function namedHostChanges(): HostChanges {
  return {
    populate: async (template, target) => {
      if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) return target
      if (statSync(template, { throwIfNoEntry: false })?.isDirectory() === true) return template
      throw new NspawnError(`template ${template} is not a directory`, {
        code: 'ENOTDIR',
        operation: 'open template',
        subject: template,
      })
    },
    lock: () => {},
    throwAwayCopy: async (tree) => foreseeEphemeral(tree),
    attachImage: async (request) => {
      const { foreseeDiskImage } = await import('./attach-image.ts')
      return foreseeDiskImage(request)
    },
    idRange: foreseeIdRange,
    temporaryDirectories: () => {
      let count = 0
      return {
        next: () => {
          const number = String(count++).padStart(ZERO_SUFFIX.length, '0')
          return join(hiddenTreePath(TEMPORARY_DIRECTORY, 'temp', number), 'src')
        },
        workName: (upper) => `.#${basename(upper)}${ZERO_SUFFIX}`,
      }
    },
    checkNetwork: () => {},
    overlayWork: () => {},
    propagateDirectory: sharedPropagateDirectory,
    suffix: () => ZERO_SUFFIX,
    uuid: () => '00000000000040008000000000000000',
  }
}
