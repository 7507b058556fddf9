import { describe, expect, test } from 'vitest'
import { hardwareAddress, planNetwork, shortened } from '../../../src/plan/network.ts'
import { defaultSettings, type NetworkSettings } from '../../../src/settings/settings.ts'

const facts = {
  machine: 'foobar',
  machineId: '00112233445566778899aabbccddeeff',
  mac: undefined,
}
const plan = (settings: Partial<NetworkSettings>, more: Partial<typeof facts> = {}) =>
  planNetwork({ ...defaultSettings().network, ...settings }, { ...facts, ...more })

describe('names that do not fit', () => {
  test.each([
    ['ve-averylongcontainername', 've-averylonWI9H'],
    ['ve-1234567890123', 've-123456782shn'],
    ['vb-averylongcontainername', 'vb-averylonOVQG'],
    ['mv-enp0s31f6abcde', 'mv-enp0s31fhCE6'],
  ])('%s becomes %s, as in systemd-nspawn', (wanted, name) => {
    expect(shortened(wanted)).toEqual({ name, fullName: wanted })
  })
  test('others stay', () => {
    expect(shortened('ve-123456789012')).toEqual({ name: 've-123456789012', fullName: undefined })
  })
})

test.each([
  ['veth-host', 0, 'ca:c9:96:54:ea:e5'],
  ['veth-container', 0, 'ae:eb:15:8a:fe:32'],
  ['extra-host', 0, '06:9b:6a:1c:85:f0'],
  ['extra-host', 1, '56:f6:33:14:7a:4f'],
  ['extra-container', 0, '86:75:23:70:6e:a6'],
  ['extra-container', 1, '96:d3:ba:d7:20:07'],
  ['macvlan', 0, '3e:fc:68:38:e9:0f'],
  ['macvlan', 1, '02:6a:ca:cb:3b:94'],
] as const)('the address of %s %i is that of systemd-nspawn', (use, index, address) => {
  expect(hardwareAddress(use, facts, index)).toBe(address)
})

describe('links', () => {
  test('none of them is no plan', () => {
    expect(plan({})).toBeUndefined()
  })

  test('come in the order in which they are made, with the names that were asked for', () => {
    const names = { host: 'eth0', container: undefined }
    const { links } = plan({
      ...{ interfaces: [{ host: 'a', container: 'b' }, names], macvlans: [names], veth: true },
      ...{
        ipvlans: [{ host: 'eth0', container: 'x' }],
        extraVeths: [{ host: 'c', container: 'd' }],
      },
    })!
    expect(
      links.map((link) => [link.kind, 'name' in link ? link.name : (link.container ?? link.host)]),
    ).toEqual([
      ['interface', 'b'],
      ['interface', 'eth0'],
      ['veth', 've-foobar'],
      ['veth', 'c'],
      ['macvlan', 'mv-eth0'],
      ['ipvlan', 'x'],
    ])
  })

  test('a bridge or a zone asks for a cable of another name', () => {
    expect(plan({ bridge: 'br0' })?.links).toMatchObject([
      { name: 'vb-foobar', container: 'host0', bridge: { name: 'br0', zone: false } },
    ])
    expect(plan({ zone: 'vz-a', veth: true })?.links).toMatchObject([
      { name: 'vb-foobar', bridge: { name: 'vz-a', zone: true } },
    ])
  })

  test('the address inside may be given', () => {
    const { links } = plan({ veth: true }, { mac: '02:00:00:00:00:01' } as object)!
    expect(links).toMatchObject([
      { containerMac: '02:00:00:00:00:01', hostMac: 'ca:c9:96:54:ea:e5' },
    ])
  })

  test('addresses are set up on the cable, or in the zone', () => {
    expect(plan({ veth: true, setup: 'auto' })?.setup).toMatchObject({
      ...{ hostInterface: 've-foobar', containerInterface: 'host0', prefixLength: 28 },
    })
    const [one, two] = ['one', 'two'].map(
      (machine) => plan({ zone: 'vz-a', setup: 'auto' }, { machine })?.setup,
    )
    expect(one).toMatchObject({ hostInterface: 'vz-a', prefixLength: 24 })
    expect(one?.netHash).toBe(two?.netHash)
    expect(one?.hostHash).not.toBe(two?.hostHash)
  })
})
