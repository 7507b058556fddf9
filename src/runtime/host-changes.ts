/**
 * What a start makes on the host before it forks, behind one door: a run makes it (`made-host-changes.ts`), the
 * printing of a plan only says how it would be called (`named-host-changes.ts`).
 */
import type { AttachedImage, ImageRequest } from './attach-image.ts'
import type { IdRange } from '../images/id-range.ts'
import type { LockMode } from '../images/lock.ts'
import type { TemporaryDirectories } from '../plan/custom-mounts.ts'
import type { ContainerPlan, UsersPlan } from '../plan/plan.ts'

/** A throw-away copy, as far as a plan has to know it. */
export type ThrowAwayTree =
  | { readonly kind: 'directory'; readonly path: string }
  | {
      readonly kind: 'overlay'
      readonly lower: string
      readonly upper: string
      readonly workDirectory: string
    }

export interface HostChanges {
  /**
   * Fills `target` from `template` unless it exists.
   *
   * @returns where the tree can be looked at now: `target`, or still `template`
   */
  populate(
    template: string,
    target: string,
    access: 'read-only' | 'read-write',
    quiet: boolean,
  ): Promise<string>
  lock(path: string, mode: LockMode): void
  throwAwayCopy(tree: string): Promise<ThrowAwayTree>
  /** The file systems of a disk image, and what a throw-away copy of it takes. */
  attachImage(request: ImageRequest): Promise<AttachedImage>
  /** An unused range; `owner` is the uid of the top directory of the tree. */
  idRange(machine: string, owner: number): Promise<IdRange>
  temporaryDirectories(users: UsersPlan | undefined): TemporaryDirectories
  /** Looks whether the interfaces are there that links need, and the names free that they get. */
  checkNetwork(plan: ContainerPlan): void
  /** Overlays' work directories are made by the outer child; they have to go with the container. */
  overlayWork(plan: ContainerPlan): void
  /** The directory that mounts are handed in through. */
  propagateDirectory(machine: string): string
  /** What tells throw-away machines apart. */
  suffix(): string
  /** A random 128-bit ID, as 32 hexadecimal digits. */
  uuid(): string
}
