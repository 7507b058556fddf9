import { expect, test } from 'vitest'
import { updateCommands } from '../../../../src/bootstrap/families/rpm.ts'
import { TreeFiles } from '../../../../src/bootstrap/tree-files.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'

const zypper = ['zypper', '--non-interactive', '--no-refresh']
const agree = '--auto-agree-with-licenses'

test.each([
  ['fedora', ['dnf5', 'dnf', 'zypper'], ['dnf5', '-y', '--refresh', 'upgrade']],
  ['rocky', ['microdnf'], ['microdnf', '-y', 'upgrade']],
  ['opensuse-leap', ['dnf', 'zypper'], [...zypper, 'update', agree]],
  ['opensuse-tumbleweed', ['zypper'], [...zypper, 'dist-upgrade', agree]],
  ['opensuse-leap', ['dnf'], ['dnf', '-y', '--refresh', 'upgrade']],
  ['fedora', ['rpm'], undefined],
])('%s with %s is brought up to date by its own', async (id, programs, command) => {
  await using dir = await temporaryDirectory()
  const files = new TreeFiles(dir.path)
  files.write('/etc/os-release', `NAME=x\nID="${id}"\n`)
  for (const name of programs) files.write(`/usr/bin/${name}`, '', 0o755)
  expect(updateCommands(files)?.at(-1)).toEqual(command)
})
