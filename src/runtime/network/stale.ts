/** What killed containers have left outside themselves, found by their notes. */
import { rmSync } from 'node:fs'
import { notes } from './notes.ts'
import { PORTS_PREFIX } from './ports.ts'
import { MASQUERADE_PREFIX } from './setup.ts'
import { nft, quietly } from './tools.ts'
import { removeIfEmpty, withZones } from './zone.ts'

/** Costs a look into a directory where there is nothing to do. */
export function removeStaleNetworks(): void {
  for (const { kind, words, owner, file, isStale } of notes()) {
    if (!isStale) continue
    if (kind === 'bridge') withZones(() => removeIfEmpty(words[0] as string))
    if (kind === 'rules') {
      for (const table of [PORTS_PREFIX, MASQUERADE_PREFIX])
        quietly(() => nft('cannot remove a table', `delete table inet ${table}${owner}`))
    }
    rmSync(file, { force: true })
  }
}
