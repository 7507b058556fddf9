/** The plan of a build, for people. */
import { quote } from '../../build/build-log.ts'
import type { BuildPlan } from '../../build/plan-build.ts'
import { formatTable } from '../table.ts'

/** Layers and steps as tables, with what is not known yet at the end. */
export function planText(plan: BuildPlan): string {
  const { name, version, driver, base, layers, steps, openEnd, outputDirectory } = plan
  const layerRows = layers.map(({ kind, key, origin }) => [
    kind,
    origin === 'kept' ? 'fits' : 'would be made',
    key === undefined ? 'not kept' : key.slice(0, 12),
  ])
  const stepRows = steps.map((step) => [
    step.phase,
    step.id,
    step.user,
    step.network,
    step.asked ? `${shown(step.command)}  (asked)` : shown(step.command),
  ])
  return [
    `${version === undefined ? name : `${name} ${version}`} (${driver}) in ${base.path}, to ${outputDirectory}`,
    '',
    formatTable([{ title: 'LAYER' }, { title: 'STATE' }, { title: 'KEY' }], layerRows),
    '',
    formatTable(
      ['PHASE', 'STEP', 'USER', 'NETWORK', 'COMMAND'].map((title) => ({ title })),
      stepRows,
    ),
    ...(openEnd === undefined ? [] : ['', `The rest is not known yet: ${openEnd}.`]),
  ].join('\n')
}

const widest = 160

/** On one line, whatever is in it. */
function shown(command: readonly string[]): string {
  const text = command
    .map(quote)
    .join(' ')
    .replaceAll(/\p{Cc}+/gu, ' ')
  return text.length <= widest ? text : `${text.slice(0, widest - 1)}…`
}
