/** Every row of the table. */
import type { ParityCase } from '../case.ts'
import { factCases } from './facts.ts'
import { outcomeCases } from './outcomes.ts'
import { scopeAndLimitCases } from './scope-and-limits.ts'
import { secretCases } from './secrets.ts'
import { settingsFileCases } from './settings-files.ts'
import { hostUserCases } from './users-of-the-host.ts'

export const cases: readonly ParityCase[] = [
  ...factCases,
  ...outcomeCases,
  ...secretCases,
  ...scopeAndLimitCases,
  ...hostUserCases,
  ...settingsFileCases,
]
