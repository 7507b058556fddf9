/** `layers`: what builds have installed once and kept, and how large it is. */
import { layersDirectory } from '../../build/build-place.ts'
import { listLayers, type KeptLayer } from '../../build/layers.ts'
import type { VerbModule } from '../context.ts'
import {
  addListOptions,
  checkListOutput,
  legendTable,
  listText,
  type ListOutput,
} from '../list-output.ts'
import { requireRoot } from '../root.ts'
import { formatBytes } from '../size.ts'
import { formatAge } from '../time.ts'

export const define: VerbModule['define'] = (command, run) => {
  addListOptions(command)
  command.action((options: ListOutput) =>
    run(async (context) => {
      checkListOutput(options)
      requireRoot('listing layers')
      const rows = (await listLayers(layersDirectory(context.stateDirectory))).map(describe)
      context.result(
        rows,
        listText(rows, options, () => table(rows, options.legend)),
      )
      return 0
    }),
  )
}

export interface LayerRow {
  readonly layer: string
  readonly kind: string | null
  readonly tree: string | null
  /** Bytes on disk. */
  readonly usage: number
  /** Microseconds since 1970. */
  readonly used: number
  readonly inUse: boolean
}

function describe({ key, about, sizeBytes, usedMs, inUse }: KeptLayer): LayerRow {
  return {
    layer: key,
    kind: about?.kind ?? null,
    tree: about?.tree ?? null,
    usage: sizeBytes,
    used: Math.round(usedMs * 1000),
    inUse,
  }
}

export function table(rows: readonly LayerRow[], legend: boolean): string {
  const columns = [
    { title: 'LAYER' },
    { title: 'KIND' },
    { title: 'USAGE', align: 'right' },
    { title: 'USED' },
    { title: 'TREE' },
  ] as const
  const cells = rows.map((row) => [
    row.layer.slice(0, 12),
    row.kind ?? '-',
    formatBytes(row.usage),
    row.inUse ? 'now' : formatAge(row.used),
    row.tree ?? '-',
  ])
  return legendTable('layers', rows.length, legend, columns, cells)
}
