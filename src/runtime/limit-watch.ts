/**
 * Hears of limits as they are hit. systemd takes a scope away as soon as nobody is in it, and with it what its groups have
 * counted: at the end of a container it may be too late to ask.
 *
 * @see Documentation/admin-guide/cgroup-v2.rst of the kernel, `memory.events` and `pids.events`
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { missing } from '../read-if-there.ts'
import { POLLPRI } from '../sys/fd.ts'
import type { LimitHit } from './resource-control.ts'
import type { Watched } from './supervisor.ts'

const MAX_BYTES = 1024

/** One file of a group. The kernel says that it has changed since it was last read. */
class EventFile implements Watched {
  readonly events = POLLPRI
  fd = -1
  hit = false
  readonly name: string
  readonly limit: LimitHit
  readonly #line: RegExp

  constructor(name: string, limit: LimitHit, line: RegExp) {
    this.name = name
    this.limit = limit
    this.#line = line
  }

  open(group: string): void {
    try {
      this.fd = openSync(join(group, this.name), 'r')
    } catch (error) {
      // A group that has not been given this controller.
      missing(error)
    }
  }

  onEvents(): void {
    if (this.fd < 0) return
    const buffer = Buffer.alloc(MAX_BYTES)
    try {
      const text = buffer.toString('latin1', 0, readSync(this.fd, buffer, 0, MAX_BYTES, 0))
      if (Number(this.#line.exec(text)?.[1] ?? 0) > 0) this.hit = true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENODEV') throw error
      // The group is gone.
      this.close()
    }
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
  }
}

export class LimitWatch {
  /** Of a container's group and the one in it. */
  readonly watched: readonly EventFile[] = [0, 1].flatMap(() => [
    new EventFile('memory.events', 'memory', /^oom_kill (\d+)$/m),
    new EventFile('pids.events', 'tasks', /^max (\d+)$/m),
  ])

  /** @param groups of the unified hierarchy, or of others, which have no such files */
  begin(groups: readonly string[], cleanup: CleanupStack): void {
    const [outer = '', inner = outer] = groups
    if (outer === '') return
    for (const [i, file] of this.watched.entries()) {
      file.open(i < this.watched.length / 2 ? outer : inner)
      cleanup.defer(`events of ${outer}`, () => file.close())
    }
  }

  /** Which were hit until now. */
  hits(): readonly LimitHit[] {
    for (const file of this.watched) file.onEvents()
    return [...new Set(this.watched.filter(({ hit }) => hit).map(({ limit }) => limit))]
  }
}
