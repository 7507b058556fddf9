/** In which form a tree is delivered, and where: decided before anything is done. Pure. */
import { join } from 'node:path'
import { usageError } from '../errors.ts'
import type { DiskForm } from '../images/disk/disk-image.ts'
import { fileSystems, type FileSystem } from '../images/disk/file-system.ts'
import type { Compression } from '../transfer/compression.ts'

export const outputForms = [
  'directory',
  'subvolume',
  'tar',
  'tar.zst',
  'tar.xz',
  'tar.gz',
  'raw',
] as const
export type OutputForm = (typeof outputForms)[number]

/** The name of the file that stands for standard output. */
export const STANDARD_OUTPUT = '-'

export interface OutputRequest {
  /** Default by the ending of the file, else `directory`. */
  readonly form?: string | undefined
  /** Absolute, or `-` for standard output; for forms that are a file. */
  readonly file?: string | undefined
  /** Of a disk; default `ext4`. */
  readonly fileSystem?: string | undefined
  readonly verity?: boolean | undefined
  /** Of a disk, in bytes. */
  readonly sizeBytes?: number | undefined
  /** Where archives go when nobody says where; absolute. Default the machines directory. */
  readonly currentDirectory?: string | undefined
}

export type Output =
  /** A subvolume where the file system has such. */
  | { readonly form: 'directory' }
  | { readonly form: 'subvolume' }
  | { readonly form: 'tar'; readonly compression: Compression }
  | { readonly form: 'raw'; readonly disk: DiskForm }

const compressionOf: Partial<Record<OutputForm, Compression>> = {
  tar: 'uncompressed',
  'tar.zst': 'zstd',
  'tar.xz': 'xz',
  'tar.gz': 'gzip',
}

/** @throws NspawnError `USAGE` */
export function planOutput(request: OutputRequest): Output {
  const form = formOf(request)
  if (request.file !== undefined && (form === 'directory' || form === 'subvolume')) {
    throw usageError(
      `--output-file is for archives and disk images, and not for a ${form}`,
      '--directory says where a tree is made',
    )
  }
  const compression = compressionOf[form]
  if (form === 'raw') return { form, disk: planDisk(request) }
  for (const [option, value] of [
    ['--file-system', request.fileSystem],
    ['--verity', request.verity === true ? true : undefined],
    ['--size', request.sizeBytes],
  ] as const) {
    if (value !== undefined) throw usageError(`${option} is for disk images`, 'add --output=raw')
  }
  if (compression !== undefined) return { form: 'tar', compression }
  return { form: form === 'subvolume' ? form : 'directory' }
}

/** Where it goes. @param name of the image, valid as such */
export function outputDestination(
  output: Output,
  request: OutputRequest,
  name: string,
  machinesDirectory: string,
): string {
  const { file, currentDirectory = machinesDirectory } = request
  switch (output.form) {
    case 'directory':
    case 'subvolume':
      return join(machinesDirectory, name)
    case 'raw':
      return file ?? join(machinesDirectory, `${name}.raw`)
    case 'tar':
      return file ?? join(currentDirectory, `${name}.${endings[output.compression]}`)
  }
}

const endings: Readonly<Record<Compression, string>> = {
  uncompressed: 'tar',
  zstd: 'tar.zst',
  xz: 'tar.xz',
  gzip: 'tar.gz',
  bzip2: 'tar.bz2',
}

function formOf({ form, file }: OutputRequest): OutputForm {
  if (form !== undefined) {
    const known = outputForms.find((name) => name === form)
    if (known === undefined)
      throw usageError(`unknown output form: ${form}`, `there are: ${outputForms.join(', ')}`)
    return known
  }
  if (file === undefined) return 'directory'
  // The longest ending counts: `.tar` is in all of them.
  const byEnding = outputForms.findLast((name) => file.endsWith(`.${name}`))
  if (byEnding !== undefined) return byEnding
  throw usageError(
    `--output-file=${file} does not say in which form`,
    'say so with --output, or choose a name that ends in .tar, .tar.zst, .tar.xz, .tar.gz or .raw',
  )
}

function planDisk({
  file,
  fileSystem = 'ext4',
  verity = false,
  sizeBytes,
}: OutputRequest): DiskForm {
  // It is an image like others, and these are found by their names.
  if (file !== undefined && !file.endsWith('.raw'))
    throw usageError(`--output-file=${file}: the name of a disk image ends in .raw`)
  return { fileSystem: fileSystemNamed(fileSystem), verity, sizeBytes }
}

function fileSystemNamed(said: string): FileSystem {
  const known = fileSystems.find((name) => name === said)
  if (known !== undefined) return known
  throw usageError(`unknown file system: ${said}`, `there are: ${fileSystems.join(', ')}`)
}
