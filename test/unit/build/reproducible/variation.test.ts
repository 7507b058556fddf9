import { describe, expect, test } from 'vitest'
import { builderSettings, installerSettings, overlay } from '../../../../src/build/containers.ts'
import { withOtherName } from '../../../../src/build/reproducible/rename-in-layer.ts'
import {
  circumstances,
  variedJobs,
  type Varied,
} from '../../../../src/build/reproducible/variation.ts'

const facts = { machine: 'build-x', hostname: 'elsewhere', proxy: {}, hostsFile: false }
const all: Varied = new Set(circumstances)
const root = overlay(['/tree'], { upper: '/u', work: '/w' }, 'build', false)
const builder = (varied: Varied | undefined, user = 'builder') =>
  builderSettings(
    { ...facts, varied },
    {
      root,
      command: ['make', 'a b'],
      user,
      directory: '/',
      environment: { LANG: 'C.UTF-8' },
      options: { network: 'none', environment: { TZ: 'UTC' } },
    },
  )

describe('a build under other circumstances', () => {
  test('has another user, locale and umask, and keeps what the caller has set', () => {
    const { user, command, environment } = builder(all)
    expect(user).toBe('somebody')
    expect(command.slice(2)).toEqual(['umask 0002 && exec "$@"', 'sh', 'make', 'a b'])
    const values = Object.fromEntries(environment.map(({ name, value }) => [name, value]))
    expect(values).toMatchObject({ USER: 'somebody', LOGNAME: 'somebody', LANG: 'C', TZ: 'UTC' })
  })

  test('does not change what root does, nor other builds', () => {
    expect(builder(all, 'root').command).toEqual(['make', 'a b'])
    expect(builder(undefined).user).toBe('builder')
    const { command } = installerSettings({ ...facts, varied: all }, { root, command: ['apt'] })
    expect(command).toEqual(['apt'])
  })

  test('varies what it is told to, and nothing else', () => {
    const { user, command, environment } = builder(new Set(['timezone']))
    expect([user, command]).toEqual(['builder', ['make', 'a b']])
    expect(environment).toContainEqual({ name: 'LANG', value: 'C.UTF-8' })
    expect(environment).not.toContainEqual(expect.objectContaining({ name: 'BUILD_VARIATION' }))
  })

  test('does another number of things at once', () => {
    expect([1, 2, 8].map(variedJobs)).toEqual([2, 1, 7])
  })

  test('gives the build user another name first, and nobody else', () => {
    const text = 'root:x:0:\nbuilder:x:2000:\nbuilder2:x:5:builder\n'
    expect(withOtherName(text)).toBe(
      'root:x:0:\nsomebody:x:2000:\nbuilder:x:2000:\nbuilder2:x:5:builder\n',
    )
  })
})
