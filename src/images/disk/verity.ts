/** Checksums of a file system in a tree of hashes, whose root tells whether any block of it has changed. */
import { createHash, randomBytes } from 'node:crypto'
import { NspawnError } from '../../errors.ts'
import type { FileSystemRequest } from './file-system.ts'
import type { Guid } from './guid.ts'
import { runTool } from './tool.ts'

export interface VerityRequest extends Pick<
  FileSystemRequest,
  'image' | 'sourceDateEpoch' | 'signal'
> {
  /** The file that gets the hashes; nothing is there yet. */
  readonly hashes: string
  readonly id: Guid
}

/**
 * @returns the hash of all, 64 lower-case hexadecimal digits
 * @see veritysetup(8)
 */
export async function makeVerity(request: VerityRequest): Promise<string> {
  const { image, hashes, id, sourceDateEpoch } = request
  const salt =
    sourceDateEpoch === undefined ? randomBytes(32) : createHash('sha256').update(id).digest()
  const { stdout } = await runTool(request, [
    'veritysetup',
    'format',
    `--uuid=${id}`,
    `--salt=${salt.toString('hex')}`,
    '--hash=sha256',
    '--data-block-size=4096',
    '--hash-block-size=4096',
    image,
    hashes,
  ])
  const root = /^Root hash:\s*([0-9a-f]{64})$/m.exec(stdout)?.[1]
  if (root !== undefined) return root
  throw new NspawnError('cannot make the hashes of the file system: no root hash was told', {
    code: 'PROGRAM_FAILED',
    operation: 'veritysetup',
  })
}
