/** Options of verbs that open disk images, as tsnspawn has them. */
import type { Command } from 'commander'
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { usageError } from '../errors.ts'
import { isDisk, requireImage } from '../images/discover.ts'
import { defaultSettings, type ImageSettings } from '../settings/settings.ts'
import { parseImagePolicy } from '../settings/values/image-policy.ts'
import { parseRootHash, parseRootHashSignature } from '../settings/values/root-hash.ts'
import type { CliContext } from './context.ts'

export interface DiskOptions {
  readonly imagePolicy?: string
  readonly rootHash?: string
  readonly rootHashSig?: string
  readonly verityData?: string
  readonly imageKeyFile?: string
  readonly askPassword: boolean
}

export function addDiskOptions(command: Command): void {
  command
    .option('--image-policy <policy>', 'which partitions may be used, and how protected')
    .option('--root-hash <hash>', 'verity root hash')
    .option('--root-hash-sig <signature>', 'signature of the root hash: a file, or base64:…')
    .option('--verity-data <path>', 'verity data, for an image that is one file system')
    .option('--image-key-file <path>', 'key of encrypted partitions')
    .option('--no-ask-password', 'ask nobody for a passphrase')
}

/** @throws NspawnError `USAGE` */
export function diskSettings(options: DiskOptions): ImageSettings {
  const { imagePolicy, rootHash, rootHashSig, verityData, imageKeyFile, askPassword } = options
  const cwd = process.cwd()
  return {
    ...defaultSettings().image,
    policy: imagePolicy === undefined ? undefined : parseImagePolicy(imagePolicy),
    rootHash: rootHash === undefined ? undefined : parseRootHash(rootHash),
    rootHashSignature:
      rootHashSig === undefined ? undefined : parseRootHashSignature(rootHashSig, cwd),
    verityData: verityData === undefined ? undefined : resolve(verityData),
    keyFile: imageKeyFile === undefined ? undefined : resolve(imageKeyFile),
    askPassphrase: askPassword,
  }
}

/**
 * The path of a disk image: a file or device, else an image by its name.
 *
 * @throws NspawnError `IMAGE_NOT_FOUND`, `USAGE` for a tree
 */
export function diskPath(word: string, { machinesOverride }: CliContext): string {
  const path = resolve(word)
  if (word.includes('/') || (existsSync(path) && !statSync(path).isDirectory())) return path
  const image = requireImage(word, machinesOverride)
  if (isDisk(image.type)) return image.path
  throw usageError(`image ${word} is a tree, not a disk image`, `look into ${image.path}`)
}
