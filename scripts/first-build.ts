/**
 * What `npm start` shows: a Debian tree is made, the real source of `hello` is fetched from the archive
 * this host is set to, and built in a throw-away container. The second time the tree is there already.
 */
import { execa } from 'execa'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { machinesDirectory } from '../src/paths.ts'

const output = resolve('out')

/** On Debian the host's own release: its mirror and keys are at hand. Elsewhere the current stable one. */
async function hostRelease(): Promise<string | undefined> {
  const text = await readFile('/etc/os-release', 'utf8')
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1]
  return field('ID') === 'debian' ? field('VERSION_CODENAME') : undefined
}

async function tsnspawnBuild(...args: string[]): Promise<void> {
  console.log(`\n$ tsnspawn-build ${args.join(' ')}`)
  const { exitCode } = await execa('bin/tsnspawn-build.cjs', args, {
    stdio: 'inherit',
    reject: false,
  })
  if (exitCode !== 0) process.exit(exitCode ?? 1)
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) {
    console.error('Containers need root for now: sudo npm start')
    process.exitCode = 1
    return
  }
  const release = await hostRelease()
  const image = release === undefined ? 'debian' : `debian-${release}`
  if (!existsSync(join(machinesDirectory(), image))) {
    await tsnspawnBuild(
      'create',
      'debian',
      image,
      ...(release === undefined ? [] : ['--release', release]),
    )
  }
  await tsnspawnBuild('build', image, 'hello', '--output', output)
  console.log(`\nBuilt in ${output}:`)
  for (const name of (await readdir(output)).toSorted()) console.log(`  ${name}`)
  console.log(
    `\nA shell in a copy of the tree that forgets everything: bin/tsnspawn-build.cjs run ${image}`,
  )
}

await main()
