/** erofs: never written to, compressed in pieces that are read fast; it keeps everything that a tree has. */
import type { FileSystemRequest } from './file-system.ts'
import { runTool } from './tool.ts'

/** @see mkfs.erofs(1) */
export async function makeErofs(request: FileSystemRequest): Promise<void> {
  const { tree, image, id, sourceDateEpoch } = request
  const time = sourceDateEpoch === undefined ? {} : { SOURCE_DATE_EPOCH: String(sourceDateEpoch) }
  await runTool(request, ['mkfs.erofs', '--quiet', '-zlz4hc', `-U${id}`, image, tree], time)
}
