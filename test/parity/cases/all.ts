/** Every row of the table. */
import type { ParityCase } from '../case.ts'
import { bundleCases } from './bundles.ts'
import { factCases } from './facts.ts'
import { outcomeCases } from './outcomes.ts'
import { readinessCases } from './readiness.ts'
import { scopeAndLimitCases } from './scope-and-limits.ts'
import { secretCases } from './secrets.ts'
import { settingsFileCases } from './settings-files.ts'
import { hostUserCases } from './users-of-the-host.ts'

/** By the option they are about, in the order of the table. */
export function casesByOption(): ReadonlyMap<string, readonly ParityCase[]> {
  const options = [...new Set(cases.map(({ option }) => option))]
  return new Map(
    options.map((option) => [option, cases.filter((one) => one.option === option)] as const),
  )
}

export const cases: readonly ParityCase[] = [
  ...factCases,
  ...outcomeCases,
  ...secretCases,
  ...scopeAndLimitCases,
  ...hostUserCases,
  ...readinessCases,
  ...settingsFileCases,
  ...bundleCases,
]
