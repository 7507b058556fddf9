/** `pull-oci REFERENCE [NAME]` */
import { resolve } from 'node:path'
import type { VerbModule } from '../context.ts'
import { sizeInBytes, yesNoOrAuto } from '../option-values.ts'
import { requireRoot } from '../root.ts'
import { addSyncOption, chosenSync, type SyncOption } from '../sync-option.ts'

interface PullOciOptions extends SyncOption {
  readonly arch?: string
  readonly authFile?: string
  readonly insecure?: boolean
  readonly force?: boolean
  readonly readOnly?: boolean
  readonly keepDownload: string
  readonly rateLimit?: string
  readonly sizeMax?: string
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<reference>', '[REGISTRY/]IMAGE[:TAG][@DIGEST]')
    .argument('[name]', "name of the image here; default the last part of the reference's")
    .option('-a, --arch <arch>', "architecture, as in amd64 or arm/v7; default the host's")
    .option('--auth-file <file>', 'logins at registries, as docker and skopeo keep them')
    .option('--insecure', 'speak plain http to the registry')
    .option('-f, --force', 'replace an image of that name, in one step once the new one is there')
    .option('--read-only', 'mark the image read-only')
  addSyncOption(command)
  command
    .option(
      '--keep-download <when>',
      'keep the layers in the cache, for images that share them: yes, no, or auto, which is yes',
      'auto',
    )
    .option('--rate-limit <bytes>', 'fetch each layer at most so fast, in bytes a second: 500K, 2M')
    .option('--size-max <bytes>', 'refuse an image that is larger unpacked; default 64G')
    .action((reference: string, name: string | undefined, options: PullOciOptions) =>
      run(async (context) => {
        const limits = {
          maxBytes: sizeInBytes(options.sizeMax, '--size-max'),
          bytesPerSecond: sizeInBytes(options.rateLimit, '--rate-limit'),
        }
        const sync = chosenSync(options)
        const layers =
          yesNoOrAuto(options.keepDownload, '--keep-download') === 'no' ? 'drop' : 'keep'
        requireRoot('pulling images')
        const { pullOci } = await import('../../transfer/oci/pull-oci.ts')
        const { authFile } = options
        const image = await pullOci({
          reference,
          name,
          directory: context.machinesDirectory,
          stateDirectory: context.stateDirectory,
          architecture: options.arch,
          authFile: authFile === undefined ? undefined : resolve(authFile),
          transport: options.insecure === true ? 'plain' : 'secure',
          existing: options.force === true ? 'replace' : 'keep',
          access: options.readOnly === true ? 'read-only' : 'read-write',
          sync,
          layers,
          ...limits,
          signal: context.signal,
          log: context.log,
        })
        context.result(
          image,
          `${image.name} is ready: ${image.layers} layers of ${image.reference}, ${image.digest}\n  ${image.path}`,
        )
        return 0
      }),
    )
}
