import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findReported } from '../../../src/build/find-reported.ts'
import { BuildRecorder, type BuildRecord } from '../../../src/build/record.ts'
import { reportPage } from '../../../src/build/report.ts'
import { silent } from '../../../src/log.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const record: BuildRecord = {
  ...new BuildRecorder('command', silent).finish(),
  result: 'failed',
  failure: { code: 'BUILD_FAILED', message: 'cannot <build> & "run"' },
  started: '2026-01-01T00:00:10.000Z',
  seconds: 10,
  source: { name: '<script>', version: '1' },
  phases: [
    { phase: 'dependencies', atSeconds: 0, seconds: 4 },
    { phase: 'build', atSeconds: 4, seconds: 6 },
  ],
  steps: [
    {
      ...{ id: 'build', title: 'make it', command: ['make', '"x"'], user: 'builder' },
      ...{ network: 'loopback', status: 2, atSeconds: 5, seconds: 5 },
      usage: { userSeconds: 3, systemSeconds: 1, largestProcessBytes: 50 * 1024 ** 2 },
      log: { name: 'build-steps/01-build.log', from: 0, to: 1 },
    },
  ],
}

test('times are bars on one scale, and logs are linked', () => {
  const earlier = { ...record, started: '2026-01-01T00:00:00.000Z', result: 'succeeded' } as const
  const html = reportPage([
    { name: 'one', record: earlier, log: 'a b/build.log', steps: 'a b/' },
    { name: 'two', record },
    { name: 'three', instead: 'not tried' },
  ])
  expect(html).toContain('1 of 3 builds succeeded')
  // Of 20 seconds; the step of the 10 of its build.
  expect(html).toContain('class="bar build" style="left:20.00%;width:30.00%"')
  expect(html).toContain('class="bar build" style="left:70.00%;width:30.00%"')
  expect(html).toContain('class="bar build" style="left:50.00%;width:50.00%"')
  expect(html).toContain('<td class="number">4.0 s</td><td class="number">50 MiB</td>')
  expect(html).toContain('href="a%20b/build.log"')
  expect(html).toContain('href="a%20b/build-steps/01-build.log"')
  expect(html).toContain('not tried')
})

test('what a source says is text, never markup', () => {
  const html = reportPage([{ name: '<script>', record }])
  expect(html).not.toContain('<script')
  expect(html).toContain('cannot &lt;build&gt; &amp; &quot;run&quot;')
  expect(html).toContain('title="make &quot;x&quot;"')
})

test('a chain is found with those that were not tried, a build by its directory', async () => {
  await using work = await temporaryDirectory()
  const out = join(work.path, 'out')
  await mkdir(join(out, 'one'), { recursive: true })
  await writeFile(join(out, 'one/build.json'), JSON.stringify(record))
  const builds = [
    { name: 'one', version: '1', result: 'failed', directory: 'one' },
    { name: 'two', version: '2', result: 'left-out' },
  ]
  await writeFile(join(out, 'chain.json'), JSON.stringify({ format: 1, builds }))
  expect(await findReported([out], [], work.path)).toMatchObject([
    { name: 'one', record: { result: 'failed' }, log: 'out/one/build.log', steps: 'out/one/' },
    { name: 'two', version: '2', instead: 'not tried' },
  ])
  expect(await findReported([join(out, 'one')], [], join(out, 'one'))).toMatchObject([
    { name: '<script>', log: 'build.log', steps: '' },
  ])
  await writeFile(join(out, 'one/build.json'), '{')
  await expect(findReported([join(out, 'one')], [], out)).rejects.toMatchObject({
    code: 'INVALID_RECORD',
  })
  await expect(findReported([work.path], [], out)).rejects.toMatchObject({ code: 'NO_SUCH_BUILD' })
})
