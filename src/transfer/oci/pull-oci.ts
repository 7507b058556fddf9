/**
 * An image of a registry becomes a directory image: manifest, configuration and layers are fetched and checked, the
 * layers unpacked one on the other, and how the image wants to be run is written into its `.nspawn` file.
 */
import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import {
  checkNewImage,
  stageImage,
  type ImageStage,
  type NewImage,
} from '../../images/new-image.ts'
import { resolveInRoot } from '../../images/resolve-in-root.ts'
import { phase, silent, type LogSink } from '../../log.ts'
import { openPlain } from '../decompress.ts'
import { unpackTar } from '../tar/unpack.ts'
import { registerTransfer } from '../transfers.ts'
import { findLogin } from './auth-file.ts'
import { openBlobStore } from './blob-store.ts'
import type { Digest } from './digest.ts'
import { parseImageConfig, type ImageConfig, type Platform } from './documents.ts'
import { fetchLayers, type FetchedLayers } from './fetch-layers.ts'
import { knowsUser } from './image-user.ts'
import { isRoot, machineSettings } from './machine-settings.ts'
import { describePlatform, fits, hostPlatform, parsePlatform } from './platform.ts'
import { parseReference } from './reference.ts'
import { locateImage, type ImageLocation } from './registry-files.ts'
import { Registry, type FoundManifest } from './registry.ts'
import { RegistryAuthority } from './registry-authority.ts'

export interface OciPull {
  /** `[REGISTRY/]IMAGE[:TAG][@DIGEST]` */
  readonly reference: string
  /** What the image is called here; default the last component of the reference's image. */
  readonly name?: string | undefined
  /** Where images live; absolute. */
  readonly directory: string
  /** Holds the cache of layers; absolute. */
  readonly stateDirectory: string
  /** As `parsePlatform()` takes it; default the host's. */
  readonly architecture?: string | undefined
  /** Absolute path of a file with logins. */
  readonly authFile?: string | undefined
  /** `plain` speaks http to a registry that has no certificate. */
  readonly transport?: 'secure' | 'plain' | undefined
  readonly existing?: 'keep' | 'replace' | undefined
  readonly access?: 'read-only' | 'read-write' | undefined
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

const maxBytesDefault = 64 * 1024 ** 3

/**
 * Pulls an image. On any failure nothing of it is left but whole layers in the cache, which the next try finds.
 *
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY`, `UNAUTHORIZED`, `NOT_FOUND`, `NO_SUCH_PLATFORM`, `BAD_MANIFEST`,
 *   `BAD_IMAGE_CONFIG`, `UNSUPPORTED_IMAGE`, `CHECKSUM_MISMATCH`, `SIZE_MISMATCH`, `CANCELED`, or what the network, the
 *   unpacking and the disk throw
 */
export async function pullOci(request: OciPull): Promise<PulledOciImage> {
  const log = request.log ?? silent
  const reference = parseReference(request.reference)
  const wanted =
    request.architecture === undefined ? hostPlatform() : parsePlatform(request.architecture)
  const location = locateImage(reference, request.transport ?? 'secure', request.registryFiles)
  const image: NewImage = {
    directory: request.directory,
    name: request.name ?? reference.image.replace(/^.*\//, ''),
    kind: 'tree',
    existing: request.existing ?? 'keep',
    access: request.access ?? 'read-write',
  }
  checkNewImage(image)
  await using cleanup = new CleanupStack()
  const transfer = registerTransfer(
    {
      type: 'pull-oci',
      local: image.name,
      remote: describeLocation(location),
      directory: image.directory,
    },
    cleanup,
  )
  const stop = new AbortController()
  const signals = [stop.signal, transfer.signal, ...(request.signal ? [request.signal] : [])]
  const signal = AbortSignal.any(signals)
  const registry = await openRegistry(request, location, signal)
  try {
    const pull = new Pull(request, location, registry, wanted, signal, log)
    return await pull.run(image, cleanup, stop, transfer.progress)
  } catch (error) {
    if (request.signal?.aborted === true)
      throw new NspawnError('the pull was canceled', { code: 'CANCELED', operation: 'pull' })
    throw transfer.signal.aborted ? transfer.signal.reason : error
  }
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

class Pull {
  private readonly request: OciPull
  private readonly location: ImageLocation
  private readonly registry: Registry
  private readonly wanted: Platform
  private readonly signal: AbortSignal
  private readonly log: LogSink

  constructor(
    request: OciPull,
    location: ImageLocation,
    registry: Registry,
    wanted: Platform,
    signal: AbortSignal,
    log: LogSink,
  ) {
    this.request = request
    this.location = location
    this.registry = registry
    this.wanted = wanted
    this.signal = signal
    this.log = log
  }

  async run(
    image: NewImage,
    cleanup: CleanupStack,
    stop: AbortController,
    progress: (fraction: number) => void,
  ): Promise<PulledOciImage> {
    const { log, signal } = this
    const { found, configBytes, config } = await phase(log, 'manifest', () => this.describe())
    const reference = describeLocation(this.location)
    const settings = machineSettings(reference, config.execution)
    const { layers } = found.manifest
    const store = await openBlobStore(this.request.stateDirectory, cleanup, log)
    const stage = stageImage(image, cleanup, log)
    const failures: unknown[] = []
    const fetched = fetchLayers(
      {
        layers,
        registry: this.registry,
        store,
        keep: this.request.layers !== 'drop',
        signal,
        log,
        progress,
        failed: (error) => {
          failures.push(error)
          stop.abort(error)
        },
      },
      cleanup,
    )
    try {
      await phase(log, 'layers', () => this.unpack(stage, found, config, fetched))
    } catch (error) {
      stop.abort(error)
      // What was stopped because of it says only that it was stopped.
      throw failures[0] ?? error
    }
    this.finishTree(stage.path, config, settings.left)
    writeFileSync(stage.sideFile('.nspawn'), settings.text)
    writeFileSync(stage.sideFile('.oci-config'), configBytes)
    throwIfCanceled(signal, 'pulling the image')
    const path = await stage.publish()
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

  private async describe(): Promise<{
    readonly found: FoundManifest
    readonly configBytes: Buffer
    readonly config: ImageConfig
  }> {
    const found = await this.registry.findManifest(this.wanted)
    const { manifest } = found
    const configBytes = await this.registry.blob(manifest.config)
    const config = parseImageConfig(configBytes)
    this.checkPlatform(config.platform, found.fromIndex)
    if (config.diffIds.length === manifest.layers.length) return { found, configBytes, config }
    throw new NspawnError(
      `the image configuration is for ${config.diffIds.length} layers, the manifest has ${manifest.layers.length}`,
      { code: 'BAD_IMAGE_CONFIG', operation: 'read image configuration' },
    )
  }

  private checkPlatform(offered: Platform, fromIndex: boolean): void {
    if (fits(offered, this.wanted)) return
    const [is, wanted] = [describePlatform(offered), describePlatform(this.wanted)]
    const asked = fromIndex || this.request.architecture !== undefined || offered.os !== 'linux'
    if (!asked) {
      this.log({
        kind: 'warning',
        text: `the image is for ${is}, this host is ${wanted}`,
        hint: 'it runs only where the kernel knows an emulator for it',
      })
      return
    }
    throw new NspawnError(`the image is for ${is}, wanted was ${wanted}`, {
      code: 'NO_SUCH_PLATFORM',
      operation: 'read image configuration',
    })
  }

  private async unpack(
    stage: ImageStage,
    { manifest: { layers } }: FoundManifest,
    { diffIds }: ImageConfig,
    fetched: FetchedLayers,
  ): Promise<void> {
    let left = this.request.maxBytes ?? maxBytesDefault
    for (const [n, layer] of layers.entries()) {
      const path = await fetched.wait(layer)
      const which = `layer ${n + 1} of ${layers.length}`
      this.log({ kind: 'step', text: `unpacking ${which}` })
      try {
        left -= await this.unpackLayer(path, stage.path, diffIds[n] as Digest, left)
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === undefined) throw error
        throw new NspawnError(`cannot unpack ${which} (${layer.digest})`, { code, cause: error })
      }
    }
  }

  /** @returns the length of the plain archive */
  private async unpackLayer(
    path: string,
    tree: string,
    diffId: Digest,
    maxBytes: number,
  ): Promise<number> {
    const { log, signal } = this
    const { chunks } = await openPlain(createReadStream(path), { signal })
    const hash = createHash('sha256')
    let bytes = 0
    const hashed = async function* () {
      for await (const chunk of chunks) {
        hash.update(chunk)
        bytes += chunk.length
        yield chunk
      }
    }
    await unpackTar(hashed(), tree, { whiteouts: 'oci', limits: { bytes: maxBytes }, signal, log })
    const found = `sha256:${hash.digest('hex')}`
    if (found === diffId) return bytes
    throw new NspawnError(`its digest without compression is ${found}, promised was ${diffId}`, {
      code: 'CHECKSUM_MISMATCH',
      operation: 'check sha256',
      hint: 'the image configuration belongs to another image, or is wrong',
    })
  }

  /** What other tools do when they start the image: nspawn expects it in the tree. */
  private finishTree(tree: string, { execution }: ImageConfig, left: readonly string[]): void {
    const { workingDirectory, user } = execution
    const path = resolveInRoot(tree, workingDirectory, 'allow')
    try {
      mkdirSync(path, { recursive: true, mode: 0o755 })
    } catch (error) {
      throw new NspawnError('cannot make the working directory of the image', {
        code: (error as NodeJS.ErrnoException).code ?? 'EIO',
        operation: 'mkdir',
        subject: workingDirectory,
      })
    }
    for (const what of left) this.log({ kind: 'warning', text: `the settings do not say ${what}` })
    const [name = ''] = user.split(':')
    if (isRoot(name) || knowsUser(tree, name)) return
    this.log({
      kind: 'warning',
      text: `the image names a user that it does not have: ${JSON.stringify(name.slice(0, 80))}`,
      hint: 'it starts only with --user=, or when the user is added to its passwd file',
    })
  }
}

function describeLocation({ registry, image, tag, digest }: ImageLocation): string {
  return `${registry}/${image}${digest === undefined ? `:${tag}` : `@${digest}`}`
}
