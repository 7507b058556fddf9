/**
 * An image of a registry becomes a directory image: manifest, configuration and layers are fetched and checked, the
 * layers unpacked one on the other, and how the image wants to be run is written into its `.nspawn` file.
 */
import { writeFileSync } from 'node:fs'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { checkNewImage, stageImage, type NewImage } from '../../images/new-image.ts'
import { phase, silent, type LogSink } from '../../log.ts'
import { machinesDirectory, stateDirectory } from '../../paths.ts'
import { runTransfer, type RunningTransfer } from '../run-transfer.ts'
import { unpackedBytesMax } from '../size-limit.ts'
import { findLogin } from './auth-file.ts'
import { openBlobStore } from './blob-store.ts'
import type { Digest } from './digest.ts'
import { parseImageConfig, type ImageConfig, type Platform } from './documents.ts'
import { fetchLayers } from './fetch-layers.ts'
import { makeFitForNspawn } from './fit-for-nspawn.ts'
import { machineSettings } from './machine-settings.ts'
import { describePlatform, fits, hostPlatform, parsePlatform } from './platform.ts'
import { parseReference } from './reference.ts'
import { locateImage, type ImageLocation } from './registry-files.ts'
import { Registry, type FoundManifest } from './registry.ts'
import { RegistryAuthority } from './registry-authority.ts'
import { unpackLayers } from './unpack-layers.ts'

export interface OciPull {
  /** `[REGISTRY/]IMAGE[:TAG][@DIGEST]` */
  readonly reference: string
  /** What the image is called here; default the last component of the reference's image. */
  readonly name?: string | undefined
  /** Where images live; absolute. Default TSNSPAWN_MACHINES_DIR, else `/var/lib/machines`. */
  readonly directory?: string | undefined
  /** Holds the cache of layers; absolute. Default TSNSPAWN_STATE_DIR, else `/var/lib/tsnspawn`. */
  readonly stateDirectory?: string | undefined
  /** As `parsePlatform()` takes it; default the host's. */
  readonly architecture?: string | undefined
  /** Absolute path of a file with logins. */
  readonly authFile?: string | undefined
  /** `plain` speaks http to a registry that has no certificate. */
  readonly transport?: 'secure' | 'plain' | undefined
  readonly existing?: 'keep' | 'replace' | undefined
  readonly access?: 'read-only' | 'read-write' | undefined
  /** Whether to have all of the image on the disk before it gets its name; default `yes`. */
  readonly sync?: 'yes' | 'no' | undefined
  /** Whether layers stay in the cache; default `keep`. */
  readonly layers?: 'keep' | 'drop' | undefined
  /** All layers together must not be longer than this when they are unpacked; default 64 GiB. */
  readonly maxBytes?: number | undefined
  readonly retries?: number | undefined
  readonly stallMs?: number | undefined
  readonly bytesPerSecond?: number | undefined
  /** Where registry files lie; default systemd's directories. */
  readonly registryFiles?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface PulledOciImage {
  readonly name: string
  readonly path: string
  /** With the registry and the tag or digest that were meant. */
  readonly reference: string
  /** Of the manifest: a reference with it means this very image. */
  readonly digest: Digest
  /** `linux/amd64` */
  readonly platform: string
  readonly layers: number
  /** Layers' bytes that came over the network; the others were in the cache. */
  readonly fetchedBytes: number
}

/**
 * Pulls an image. On any failure nothing of it is left but whole layers in the cache, which the next try finds.
 *
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY`, `UNAUTHORIZED`, `NOT_FOUND`, `NO_SUCH_PLATFORM`, `BAD_MANIFEST`,
 *   `BAD_IMAGE_CONFIG`, `UNSUPPORTED_IMAGE`, `CHECKSUM_MISMATCH`, `SIZE_MISMATCH`, `CANCELED`, or what the network, the
 *   unpacking and the disk throw
 */
export async function pullOci(request: OciPull): Promise<PulledOciImage> {
  const reference = parseReference(request.reference)
  const location = locateImage(reference, request.transport ?? 'secure', request.registryFiles)
  const image: NewImage = {
    directory: machinesDirectory(request.directory),
    name: request.name ?? reference.image.replace(/^.*\//, ''),
    kind: 'tree',
    existing: request.existing ?? 'keep',
    access: request.access ?? 'read-write',
    sync: request.sync ?? 'yes',
  }
  checkNewImage(image)
  await using cleanup = new CleanupStack()
  const remote = describeLocation(location)
  const listed = { local: image.name, remote, directories: [image.directory] }
  return await runTransfer(
    { type: 'pull-oci', ...listed, purpose: `pulling ${remote}`, caller: request.signal },
    cleanup,
    async (transfer) => {
      const registry = await openRegistry(request, location, transfer.signal)
      const log = request.log ?? silent
      const described = await phase(log, 'manifest', () => describeImage(request, registry, log))
      const making = { request, image, reference: remote, registry, described, transfer, log }
      return await makeImage(making, cleanup)
    },
  )
}

async function openRegistry(
  request: OciPull,
  location: ImageLocation,
  signal: AbortSignal,
): Promise<Registry> {
  const { authFile, retries, stallMs, bytesPerSecond } = request
  const login = authFile === undefined ? undefined : await findLogin(authFile, location)
  const authority = new RegistryAuthority(location, login, stallMs)
  return new Registry(location, authority, { retries, stallMs, bytesPerSecond }, signal)
}

interface DescribedImage {
  readonly found: FoundManifest
  readonly config: ImageConfig
  /** The configuration as the registry has it. */
  readonly configBytes: Buffer
}

async function describeImage(
  { architecture }: OciPull,
  registry: Registry,
  log: LogSink,
): Promise<DescribedImage> {
  const wanted = architecture === undefined ? hostPlatform() : parsePlatform(architecture)
  const found = await registry.findManifest(wanted)
  const configBytes = await registry.blob(found.manifest.config)
  const config = parseImageConfig(configBytes)
  const isRequired = found.fromIndex || architecture !== undefined
  checkPlatform(config.platform, wanted, isRequired ? 'required' : 'usual', log)
  const [has, said] = [found.manifest.layers.length, config.diffIds.length]
  if (has === said) return { found, configBytes, config }
  throw new NspawnError(`the image configuration is for ${said} layers, the manifest has ${has}`, {
    code: 'BAD_IMAGE_CONFIG',
    operation: 'read image configuration',
  })
}

/** An image that is there for one platform only is taken all the same, unless another one was asked for. */
function checkPlatform(
  offered: Platform,
  wanted: Platform,
  need: 'required' | 'usual',
  log: LogSink,
): void {
  if (fits(offered, wanted)) return
  const [is, host] = [describePlatform(offered), describePlatform(wanted)]
  if (need === 'required' || offered.os !== 'linux') {
    throw new NspawnError(`the image is for ${is}, wanted was ${host}`, {
      code: 'NO_SUCH_PLATFORM',
      operation: 'read image configuration',
    })
  }
  log({
    kind: 'warning',
    text: `the image is for ${is}, this host is ${host}`,
    hint: 'it runs only where the kernel knows an emulator for it',
  })
}

interface ImageMaking {
  readonly request: OciPull
  readonly image: NewImage
  readonly reference: string
  readonly registry: Registry
  readonly described: DescribedImage
  readonly transfer: RunningTransfer
  readonly log: LogSink
}

async function makeImage(making: ImageMaking, cleanup: CleanupStack): Promise<PulledOciImage> {
  const { request, image, reference, registry, log } = making
  const { signal, stop, progress } = making.transfer
  const { found, config, configBytes } = making.described
  const { layers } = found.manifest
  const settings = machineSettings(reference, config.execution)
  const store = await openBlobStore(stateDirectory(request.stateDirectory), cleanup, log)
  const stage = stageImage(image, cleanup, log)
  const keep = request.layers !== 'drop'
  const fetched = fetchLayers(
    { layers, registry, store, keep, signal, log, progress, failed: stop },
    cleanup,
  )
  const { maxBytes = unpackedBytesMax } = request
  const [tree, { diffIds }, { wait }] = [stage.path, config, fetched]
  try {
    await phase(log, 'layers', () =>
      unpackLayers({ layers, diffIds, tree, maxBytes, wait, signal, log }),
    )
  } catch (error) {
    stop(error)
    throw error
  }
  makeFitForNspawn(tree, config.execution, log)
  for (const what of settings.left)
    log({ kind: 'warning', text: `the settings do not say ${what}` })
  writeFileSync(stage.sideFile('.nspawn'), settings.text)
  writeFileSync(stage.sideFile('.oci-config'), configBytes)
  const path = await stage.publish({ signal })
  return {
    name: image.name,
    path,
    reference,
    digest: found.digest,
    platform: describePlatform(config.platform),
    layers: layers.length,
    fetchedBytes: fetched.fetchedBytes(),
  }
}

function describeLocation({ registry, image, tag, digest }: ImageLocation): string {
  return `${registry}/${image}${digest === undefined ? `:${tag}` : `@${digest}`}`
}
