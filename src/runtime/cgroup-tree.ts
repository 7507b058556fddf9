/** Control groups as directories: those of ours that are done with are taken away. */
import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { isOwnerAlive, parseOwner } from '../owner.ts'

/** Removes an empty group and the empty ones below; a group that still has processes stays. */
export function removeGroup(group: string): void {
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(group, entry.name))
  }
  rmdirSync(group)
}

/** Removes what dead runs have left below a group. */
export function removeStaleBelow(parent: string): void {
  for (const name of readdirSync(parent)) {
    const owner = /^tsnspawn-.*\.(\d+-\d+)\.scope$/.exec(name)?.[1]
    if (owner === undefined) continue
    const parsed = parseOwner(owner)
    if (parsed === undefined || isOwnerAlive(parsed)) continue
    try {
      removeGroup(join(parent, name))
    } catch {
      // Somebody still lives in it, or another run was faster.
    }
  }
}
