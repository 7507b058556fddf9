import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dnf, dnf5 } from '../../../../src/build/installers/dnf.ts'
import { zypper } from '../../../../src/build/installers/zypper.ts'
import { installerOf } from '../../../../src/build/installers.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

test.each([dnf, dnf5, zypper])('$id reads indexes first, and then only those', (installer) => {
  const [read, upgrade] = installer.refresh().slice(-2)
  expect(read?.failure).toBe('DEPENDENCY_INDEX')
  for (const { command } of [upgrade!, installer.install(['a'])]) {
    expect(command.join(' ')).toMatch(/--no-refresh|metadata_expire=-1/)
    expect(command.join(' ')).toContain('/var/cache/tsnspawn-build')
  }
})

test.each([dnf, dnf5, zypper])('$id installs nothing that is only recommended', (installer) => {
  const rest = { id: 'x', title: 'x', failure: 'DEPENDENCY_INSTALL', hint: 'x' } as const
  for (const { command } of [
    installer.install(['a']),
    installer.installFiles(['/a.rpm'], { fileLists: true }, rest),
  ])
    expect(command.join(' ')).toMatch(/--no-recommends|install_weak_deps=False/)
})

test('zypper may ask for a restart, which is no failure', () => {
  expect(zypper.install(['a']).accept).toEqual([102, 103])
})

test('the manager of a tree is the one that it has repositories for', async () => {
  await using work = await temporaryDirectory()
  const path = (name: string) => join(work.path, name)
  await mkdir(path('usr/bin'), { recursive: true })
  await writeFile(path('usr/bin/dnf'), '')
  expect(installerOf(work.path)?.id).toBe('dnf')
  await writeFile(path('usr/bin/dnf5'), '')
  expect(installerOf(work.path)?.id).toBe('dnf5')
  await writeFile(path('usr/bin/zypper'), '')
  expect(installerOf(work.path)?.id).toBe('dnf5')
  await mkdir(path('etc/zypp/repos.d'), { recursive: true })
  await writeFile(path('etc/zypp/repos.d/oss.repo'), '')
  expect(installerOf(work.path)?.id).toBe('zypper')
})
