import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { ephemeralMachineName, isImageName, machineNameForRoot } from '../../../src/images/names.ts'
import { isMachineName, machineNameFrom } from '../../../src/machine-name.ts'

test.each(['a', 'a_b', '.raw-http:x', 'ä', 'a b', 'a'.repeat(255)])(
  '%s can name an image',
  (name) => {
    expect(isImageName(name)).toBe(true)
  },
)

test.each(['', '.', '..', '.#x', 'a/b', 'a\n', 'a\x7f', 'a'.repeat(256)])(
  '%j cannot name an image',
  (name) => {
    expect(isImageName(name)).toBe(false)
  },
)

test('a tree gives the machine its last component, an image loses .raw, / is the host', () => {
  expect(machineNameForRoot('/var/lib/machines/deb_12', 'directory')).toBe('deb12')
  expect(machineNameForRoot('/srv/x.raw', 'image')).toBe('x')
  expect(machineNameForRoot('/srv/x.raw', 'directory')).toBe('x.raw')
  expect(machineNameForRoot('/', 'directory')).toBe(machineNameFrom(hostname()))
})

test('a tree without usable characters in its name asks for --machine=', () => {
  expect(() => machineNameForRoot('/srv/___', 'directory')).toThrow(
    expect.objectContaining({ code: 'NO_MACHINE_NAME', hint: 'give one with --machine=' }),
  )
})

test('a throw-away machine name is the name and 16 hexadecimal digits, and valid however long the name', () => {
  expect(ephemeralMachineName('mm')).toMatch(/^mm-[0-9a-f]{16}$/)
  expect(ephemeralMachineName('mm')).not.toBe(ephemeralMachineName('mm'))
  expect(isMachineName(ephemeralMachineName(`${'a'.repeat(46)}.${'b'.repeat(17)}`))).toBe(true)
})
