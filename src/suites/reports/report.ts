/** The forms that a report can have. */
import type { SuiteReport } from '../suite.ts'
import { htmlReport } from './html.ts'
import { junitReport } from './junit.ts'
import { tapReport } from './tap.ts'

/** Name → text of the whole file, its last line ended. */
export const reportFormats = {
  junit: junitReport,
  tap: tapReport,
  json: (report: SuiteReport) => `${JSON.stringify(report, undefined, 2)}\n`,
  html: htmlReport,
} as const

export type ReportFormat = keyof typeof reportFormats
