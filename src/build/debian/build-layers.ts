/**
 * The layers below a build: found where an earlier build kept them, else made and kept. The toolchain's
 * is shared by all builds above one tree, the dependencies' by all sources that ask for the same.
 */
import type { BaseTree } from '../base-tree.ts'
import type { LayerDraft, LayerStore, Writable } from '../layers.ts'
import { dependencyKey, layerIndexes, toolchainKey, type IndexIdentity } from './layer-keys.ts'
import type { BuildOptions } from './plan.ts'
import { prepareRoot } from './prepare-root.ts'
import type { SourceControl } from './source-control.ts'

export interface LayerRequest {
  readonly base: BaseTree
  readonly control: SourceControl
  readonly options: BuildOptions
  /** `undefined` where nobody can tell: then nothing is found and nothing kept. */
  readonly indexes: IndexIdentity | undefined
}

/** Runs the steps that fill a layer. */
export type FillLayer = (toolchain: Writable, dependencies: Writable) => Promise<void>

export interface LayerUse {
  readonly kind: 'toolchain' | 'dependencies'
  /** Absent when the layer is thrown away after the build. */
  readonly key?: string | undefined
  readonly origin: 'kept' | 'made'
}

export interface BuildLayerPair {
  readonly toolchain: Writable
  readonly dependencies: Writable
  readonly uses: readonly LayerUse[]
}

/**
 * Finds or makes both layers.
 *
 * @param fill called once for each layer that has to be made
 */
export async function provideLayers(
  store: LayerStore,
  request: LayerRequest,
  fill: { readonly toolchain: FillLayer; readonly dependencies: FillLayer },
): Promise<BuildLayerPair> {
  const { base, control, options, indexes } = request
  const uses: LayerUse[] = []
  const nowhere: Writable = { upper: '', work: '' }

  let key = indexes === undefined ? undefined : await toolchainKey(base, indexes)
  let toolchain = await findLayer(store, key)
  if (toolchain === undefined) {
    const draft = await store.draft()
    await prepareRoot(base.path, draft.upper)
    await fill.toolchain(draft, nowhere)
    // The mirror may have moved on since it was asked: what apt took counts.
    const taken = indexes === undefined ? undefined : await layerIndexes(draft.upper)
    key = taken === undefined ? undefined : await toolchainKey(base, taken)
    toolchain = await keep(draft, key)
    uses.push({ kind: 'toolchain', key, origin: 'made' })
  } else uses.push({ kind: 'toolchain', key, origin: 'kept' })

  const wanted = key === undefined ? undefined : dependencyKey(key, control, options)
  let dependencies = await findLayer(store, wanted)
  if (dependencies === undefined) {
    const draft = await store.draft()
    await fill.dependencies(toolchain, draft)
    dependencies = await keep(draft, wanted)
    uses.push({ kind: 'dependencies', key: wanted, origin: 'made' })
  } else uses.push({ kind: 'dependencies', key: wanted, origin: 'kept' })

  return { toolchain, dependencies, uses }
}

async function findLayer(
  store: LayerStore,
  key: string | undefined,
): Promise<Writable | undefined> {
  const upper = key === undefined ? undefined : await store.find(key)
  return upper === undefined ? undefined : { upper, work: '' }
}

async function keep(draft: LayerDraft, key: string | undefined): Promise<Writable> {
  if (key === undefined) return draft
  return { upper: await draft.publish(key), work: '' }
}
