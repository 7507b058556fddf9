import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { moveInLayer, withOtherPath } from '../../../../src/build/reproducible/other-path.ts'
import { defaultSettings } from '../../../../src/settings/settings.ts'

test('a step has the other path in its command, its directory and its variables', () => {
  const settings = withOtherPath(
    {
      ...defaultSettings(),
      command: ['sh', '-c', 'cd /build/source/a && make -C /build/source'],
      workingDirectory: '/build/source',
      environment: [
        { name: 'HOME', value: '/build/home' },
        { name: 'TOP', value: '/build/source/b' },
      ],
    },
    '/build/source',
  )
  expect(settings).toMatchObject({
    command: ['sh', '-c', 'cd /build/elsewhere/a && make -C /build/elsewhere'],
    workingDirectory: '/build/elsewhere',
    environment: [
      { name: 'HOME', value: '/build/home' },
      { name: 'TOP', value: '/build/elsewhere/b' },
    ],
  })
})

describe('a layer', () => {
  let layer: string
  beforeEach(async () => {
    layer = await mkdtemp(join(tmpdir(), 'other-path-'))
  })
  afterEach(() => rm(layer, { recursive: true }))
  const move = () => moveInLayer(join(layer, 'upper'), '/build/source', '/build/elsewhere')

  test('has the directory under the other name, where it has it at all', async () => {
    await mkdir(join(layer, 'upper'))
    await move()
    await mkdir(join(layer, 'upper/build/source/a'), { recursive: true })
    await move()
    expect(await readdir(join(layer, 'upper/build/elsewhere'))).toEqual(['a'])
  })

  test('with a link in the place is left as it is, and what it leads to, too', async () => {
    await mkdir(join(layer, 'host/source'), { recursive: true })
    await mkdir(join(layer, 'upper'))
    await symlink('../host', join(layer, 'upper/build'))
    await move()
    expect(await readdir(join(layer, 'host'))).toEqual(['source'])
  })

  test('with something else under the other name is refused', async () => {
    await mkdir(join(layer, 'upper/build/source'), { recursive: true })
    await writeFile(join(layer, 'upper/build/elsewhere'), '')
    await expect(move()).rejects.toMatchObject({ code: 'BUILD_RESULTS' })
  })
})
