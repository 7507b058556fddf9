/** The options that `pull-tar` and `pull-raw` have in common, and what they ask for. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { usageError } from '../errors.ts'
import { isSha256 } from '../transfer/pull/checksum-list.ts'
import type { CompanionSuffix } from '../transfer/pull/companions.ts'
import type { Verification } from '../transfer/pull/expectation.ts'
import type { PulledImage, PullRequest } from '../transfer/pull/pull.ts'
import type { CliContext, RunVerb } from './context.ts'
import { addClassOptions, chosenClass, type ClassOptions } from './image-class.ts'
import { sizeInBytes, yesNoOrAuto, yesOrNo } from './option-values.ts'
import { formatBytes } from './size.ts'
import { requireRoot } from './root.ts'
import { addSyncOption, chosenSync, type SyncOption } from './sync-option.ts'

interface PullOptions extends ClassOptions, SyncOption {
  readonly verify: string
  readonly keyring?: string
  readonly force?: boolean
  readonly readOnly?: boolean
  readonly keepDownload: string
  readonly imageRoot?: string
  readonly rateLimit?: string
  readonly sizeMax?: string
  readonly settings?: string
  readonly roothash?: string
  readonly roothashSignature?: string
  readonly verity?: string
}

/** @param what the archive in words, for help */
export function definePull(
  command: Command,
  run: RunVerb,
  kind: 'tar' | 'raw',
  what: string,
): void {
  command
    .argument('<url>', `where the ${what} is: http, https or file`)
    .argument('[name]', 'name of the image; default from the URL; - for the pristine copy alone')
    .option(
      '--verify <how>',
      'no, checksum, signature, or the SHA256 of the file itself',
      'signature',
    )
    .option('--keyring <file>', 'keys that may sign the checksums; default those of systemd')
    .option('-f, --force', 'replace an image of that name, in one step once the new one is there')
    .option('--read-only', 'mark the image read-only')
  addClassOptions(command)
  addSyncOption(command)
  command
    .option(
      '--keep-download <when>',
      'keep a pristine copy: yes, no, or auto, where copies take no space',
      'auto',
    )
    .option('-N', 'the same as --keep-download=no')
    .option('--image-root <dir>', "directory for the image; default the class's")
    .option('--rate-limit <bytes>', 'fetch at most so much a second: 500K, 2M, 1G')
    .option('--size-max <bytes>', 'refuse an image that is larger unpacked; default 64G')
    .option('--settings <bool>', 'fetch NAME.nspawn from beside the image; default yes')
  if (kind === 'raw') {
    command
      .option('--roothash <bool>', 'fetch NAME.roothash; default yes')
      .option('--roothash-signature <bool>', 'fetch NAME.roothash.p7s; default as --roothash=')
      .option('--verity <bool>', 'fetch NAME.verity; default yes')
  }
  command.action((url: string, name: string | undefined, options: PullOptions & ShortOptions) =>
    run(async (context) => {
      const request = pullRequest(url, name, options, context)
      requireRoot('pulling images')
      const { pullRaw, pullTar } = await import('../transfer/pull/pull.ts')
      const image = await (kind === 'tar' ? pullTar : pullRaw)(request)
      context.result(image, describe(image))
      return 0
    }),
  )
}

interface ShortOptions {
  readonly N?: boolean
}

function pullRequest(
  url: string,
  name: string | undefined,
  options: PullOptions & ShortOptions,
  context: CliContext,
): PullRequest {
  return {
    url,
    name: name === '' ? '-' : name,
    class: chosenClass(options),
    machinesDirectory: context.machinesDirectory,
    imageRoot: options.imageRoot === undefined ? undefined : resolve(options.imageRoot),
    verify: verification(options),
    existing: options.force === true ? 'replace' : 'keep',
    access: options.readOnly === true ? 'read-only' : 'read-write',
    sync: chosenSync(options),
    keepDownload: keepDownload(options),
    companions: companions(options),
    bytesPerSecond: sizeInBytes(options.rateLimit, '--rate-limit'),
    sizeMaxBytes: sizeInBytes(options.sizeMax, '--size-max'),
    signal: context.signal,
    log: context.log,
  }
}

function verification({ verify, keyring }: PullOptions): Verification {
  if (keyring !== undefined && verify !== 'signature')
    throw usageError('--keyring= is of use only with --verify=signature')
  if (verify === 'no' || verify === 'checksum') return { mode: verify }
  if (verify === 'signature')
    return { mode: verify, keyring: keyring === undefined ? undefined : resolve(keyring) }
  if (isSha256(verify)) return { mode: 'sha256', sha256: verify.toLowerCase() }
  throw usageError(
    `--verify=${verify} is nothing that can be verified`,
    'there are: no, checksum, signature, or 64 hexadecimal digits',
  )
}

function keepDownload(options: PullOptions & ShortOptions): 'auto' | 'yes' | 'no' {
  return options.N === true ? 'no' : yesNoOrAuto(options.keepDownload, '--keep-download')
}

function companions(options: PullOptions): PullRequest['companions'] {
  const rootHash = optional(options.roothash, '--roothash')
  const signature = optional(options.roothashSignature, '--roothash-signature')
  const wanted: readonly (readonly [CompanionSuffix, boolean | undefined])[] = [
    ['.nspawn', optional(options.settings, '--settings')],
    ['.roothash', rootHash],
    ['.roothash.p7s', rootHash === false ? false : signature],
    ['.verity', optional(options.verity, '--verity')],
  ]
  return Object.fromEntries(wanted.filter(([, value]) => value !== undefined))
}

function optional(text: string | undefined, option: string): boolean | undefined {
  return text === undefined ? undefined : yesOrNo(text, option)
}

function describe(image: PulledImage): string {
  const checked = {
    no: 'unchecked',
    checksum: 'its checksum is right',
    signature: `its signature is right (${image.signers.join(', ')})`,
    sha256: 'its checksum is right',
  }
  const ready = image.name === undefined ? 'the pristine copy' : image.name
  const how = image.from === 'network' ? 'fetched' : 'copied from the pristine copy'
  return `${ready} is ready: ${formatBytes(image.sizeBytes)} ${how}, ${checked[image.verified]}\n  ${image.path}`
}
