import { expect, test } from 'vitest'
import { registerArguments } from '../../../src/runtime/machined.ts'

const entry = {
  name: 'web',
  id: '00ff102030405060708090a0b0c0d0e0',
  service: 'systemd-nspawn',
  leader: 4711,
  rootDirectory: '/tree',
  interfaces: [3, 7],
}

test('machined is told name, id, service, class, leader, root and links, in the order of its signature', () => {
  expect(registerArguments(entry).join(' ')).toBe(
    'web 16 0 255 16 32 48 64 80 96 112 128 144 160 176 192 208 224 systemd-nspawn container 4711 /tree 2 3 7',
  )
  expect(registerArguments({ ...entry, id: undefined, interfaces: [] }).join(' ')).toBe(
    'web 0 systemd-nspawn container 4711 /tree 0',
  )
})
