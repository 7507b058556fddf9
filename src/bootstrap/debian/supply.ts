/**
 * Packages on their way from the archive to where dpkg reads them: several are fetched while others are
 * decompressed, and whoever needs one waits for that one only.
 */
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { LogSink } from '../../log.ts'
import { debFileName, type ArchivePackage } from './archive-package.ts'
import { writePlainDeb, type TarPlace } from './deb-file.ts'
import { fetchPackage } from './fetch-packages.ts'
import { Slots } from '../../slots.ts'

export interface SupplyPlaces {
  /** Packages as the archive has them. */
  readonly packages: string
  /** Those of earlier runs, which are not fetched again. */
  readonly pool: string
  /** Packages with their files uncompressed. */
  readonly plain: string
}

/** As many as a mirror does not mind, and enough to fill the line with small files. */
const fetchesAtOnce = 8

export class Supply {
  readonly places: SupplyPlaces
  private readonly stop = new AbortController()
  private readonly signal: AbortSignal
  private readonly coming = new Map<ArchivePackage, Promise<TarPlace>>()
  private readonly fetches = new Slots(fetchesAtOnce)
  private readonly unpacks = new Slots(Math.max(2, availableParallelism()))
  private failure: { readonly error: unknown } | undefined

  /**
   * Begins with all of them, in this order.
   *
   * @param signal ends it early
   */
  constructor(
    packages: readonly ArchivePackage[],
    places: SupplyPlaces,
    options: { readonly log: LogSink; readonly signal?: AbortSignal | undefined },
  ) {
    this.places = places
    const { signal } = options
    this.signal =
      signal === undefined ? this.stop.signal : AbortSignal.any([signal, this.stop.signal])
    const total = packages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    let done = 0
    for (const one of packages) {
      const bring = this.bring(one, () => {
        done += one.sizeBytes
        const text = `fetching ${one.name}`
        options.log({ kind: 'progress', text, done, total, unit: 'bytes' })
      })
      bring.catch((error: unknown) => {
        this.failure ??= { error }
        this.stop.abort()
      })
      this.coming.set(one, bring)
    }
  }

  /** Waits for a package. @throws what went wrong first, with whichever package it was */
  async take(one: ArchivePackage): Promise<TarPlace> {
    try {
      return await this.coming.get(one)!
    } catch (error) {
      throw this.failure?.error ?? error
    }
  }

  /** The plain package has been used. */
  async drop(one: ArchivePackage): Promise<void> {
    await rm(join(this.places.plain, debFileName(one)))
  }

  /** Gives up what has not come yet; returns when nothing is written any more. */
  async end(): Promise<void> {
    this.stop.abort()
    await Promise.allSettled(this.coming.values())
  }

  private async bring(one: ArchivePackage, fetched: () => void): Promise<TarPlace> {
    const { packages, pool, plain } = this.places
    const { signal } = this
    const path = await this.fetches.run(() => fetchPackage(one, { packages, pool }, signal))
    fetched()
    return this.unpacks.run(() => writePlainDeb(path, join(plain, debFileName(one)), signal))
  }
}
