/** squashfs: small, and never written to. It keeps whole seconds, and no ACLs. */
import { shownName } from '../../shown-name.ts'
import type { FileSystemRequest } from './file-system.ts'
import { runTool } from './tool.ts'

/** The default of 15 takes seven times as long, and its images are smaller by a twentieth. */
const level = ['-Xcompression-level', '9']

/** @see mksquashfs(1) */
export async function makeSquashfs(request: FileSystemRequest): Promise<void> {
  const { tree, image, survey, sourceDateEpoch, log } = request
  const [first] = survey.acls
  if (first !== undefined) {
    const text = `squashfs has no ACLs: ${survey.acls.length} are left out, the first of ${shownName(first)}`
    log({ kind: 'warning', text })
  }
  // Where zeros are holes depends on the way that a file has come.
  const same =
    sourceDateEpoch === undefined ? [] : ['-mkfs-time', String(sourceDateEpoch), '-no-sparse']
  const options = [
    '-noappend',
    '-quiet',
    '-no-progress',
    '-xattrs',
    '-comp',
    'zstd',
    ...level,
    ...same,
  ]
  await runTool(request, ['mksquashfs', tree, image, ...options])
}
