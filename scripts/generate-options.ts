/** Writes docs/options.md from the settings table: `node scripts/run.mjs scripts/generate-options.ts`. */
import { writeFileSync } from 'node:fs'
import { optionsPage } from '../src/settings/options-page.ts'

writeFileSync('docs/options.md', optionsPage())
