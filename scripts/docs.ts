/** Writes the pages of docs/ that are made from tables; unit tests hold the committed ones to it. */
import { writeFileSync } from 'node:fs'
import { settingsFilesPage } from '../src/settings/file/page.ts'
import { ociPage } from '../src/settings/oci/page.ts'
import { optionsPage } from '../src/settings/options-page.ts'
import { archivesPage } from '../test/fixtures/archives/page.ts'
import { parityPage } from '../test/parity/page.ts'

writeFileSync('docs/archives.md', archivesPage())
writeFileSync('docs/oci.md', ociPage())
writeFileSync('docs/options.md', optionsPage())
writeFileSync('docs/parity.md', parityPage())
writeFileSync('docs/settings-files.md', settingsFilesPage())
