import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { enabledUnits, keepEnabled } from '../../../../src/bootstrap/customize/presets.ts'
import { TreeFiles } from '../../../../src/bootstrap/tree-files.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'presets-'))
  mkdirSync(join(root, 'etc/systemd/system/multi-user.target.wants'), { recursive: true })
  mkdirSync(join(root, 'etc/systemd/system/x.socket.requires'))
})

afterEach(() => rmSync(root, { recursive: true }))

const link = (path: string) => symlinkSync('/nowhere', join(root, 'etc/systemd/system', path))
const preset = () =>
  readFileSync(join(root, 'etc/systemd/system-preset/10-tsnspawn.preset'), 'utf8')

test('what was enabled or disabled since is told to the first boot, instances by their template', () => {
  link('multi-user.target.wants/old.service')
  link('multi-user.target.wants/unwanted.service')
  const files = new TreeFiles(root)
  const before = enabledUnits(files)
  rmSync(join(root, 'etc/systemd/system/multi-user.target.wants/unwanted.service'))
  link('multi-user.target.wants/new.service')
  link('multi-user.target.wants/tunnel@one.service')
  link('x.socket.requires/tunnel@two.service')
  // An alias says nothing about who wants it.
  link('dbus-org.example.service')
  keepEnabled(files, before)
  expect(preset()).toBe(
    'enable new.service\nenable tunnel@.service one two\ndisable unwanted.service\n',
  )
})

test('where nothing was changed there is no preset', () => {
  link('multi-user.target.wants/old.service')
  const files = new TreeFiles(root)
  keepEnabled(files, enabledUnits(files))
  expect(files.stat('/etc/systemd/system-preset')).toBeUndefined()
})
