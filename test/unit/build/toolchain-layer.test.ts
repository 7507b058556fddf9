import { expect, test } from 'vitest'
import { apt } from '../../../src/build/installers/apt.ts'
import { toolchainSteps } from '../../../src/build/toolchain-layer.ts'

const facts = {
  machine: 'build-1',
  hostname: 'build',
  proxy: { http_proxy: 'http://proxy:3128' },
  hostsFile: true,
}

const steps = (packages: readonly string[]) =>
  toolchainSteps(apt, packages, facts, ['/t'], { upper: '/c/u', work: '/c/w' })

test('a toolchain is the tree brought up to date, and then its packages', () => {
  const commands = steps(['build-essential', 'fakeroot']).map(({ settings }) =>
    settings.command.filter((word) => !word.includes('::') && word !== '-o').join(' '),
  )
  expect(commands).toEqual([
    'apt-get -q -y --no-install-recommends update',
    'apt-get -q -y --no-install-recommends dist-upgrade',
    'apt-get -q -y --no-install-recommends install build-essential fakeroot',
  ])
  expect(steps([])).toHaveLength(2)
})

test('package managers have root of their own, the network and the proxy, and do not wait for the disk', () => {
  for (const { settings } of steps(['make'])) {
    expect(settings).toMatchObject({
      privateNetwork: false,
      privateUsers: { mode: 'pick' },
      suppressSync: true,
      root: { layers: ['/t'], upper: '/c/u' },
    })
    expect(settings.user).toBeUndefined()
    expect(settings.environment).toContainEqual({ name: 'http_proxy', value: 'http://proxy:3128' })
  }
})

test('what the last step has written is on disk when the layer is kept', () => {
  const keeps = (packages: string[]) =>
    steps(packages).map(({ settings: { root } }) => root.kind === 'layers' && root.keep)
  expect(keeps(['make'])).toEqual([false, false, true])
  expect(keeps([])).toEqual([false, true])
})
