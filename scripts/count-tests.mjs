/**
 * Says how a test run ended, from vitest's JSON report: what was skipped, then one line that counts.
 * Files that could not be loaded count as failures; a run without tests is one too.
 */
import { readFileSync } from 'node:fs'

const [reportPath] = process.argv.slice(2)
const report = JSON.parse(readFileSync(reportPath, 'utf8'))

const unloadable = report.testResults.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((t) => t.status === 'failed'),
)
for (const file of unloadable) console.log(`failed as a whole: ${file.name}`)
const skipped = report.numPendingTests + report.numTodoTests
if (skipped > 0) console.log(`${skipped} skipped`)
const failed = report.numFailedTests + unloadable.length
console.log(`${report.numPassedTests} passed, ${failed} failed`)
process.exitCode = failed > 0 || report.numPassedTests === 0 ? 1 : 0
