/** The disk that the machine starts from: a Debian with systemd made by our own `create`, and a kernel of Debian's. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { debianBootTree, testDirectory } from '../../fixtures/debian-tree.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const top = fileURLToPath(new URL('../../..', import.meta.url))
const RELEASE = 'trixie'

/** What the machine needs, what the cases call, and the libraries of Node. */
const packages = [
  ...['udev', 'kmod', 'dbus', 'procps', 'iproute2', 'nftables', 'systemd-container'],
  ...['cryptsetup-bin', 'dmsetup', 'openssl', 'fdisk', 'e2fsprogs', 'dosfstools'],
  ...['squashfs-tools', 'erofs-utils', 'busybox-static', 'libstdc++6', 'libatomic1'],
]

export interface MachineDisk {
  readonly disk: string
  readonly kernel: string
}

/** Made once, kept like the trees of tests; nobody writes to it. */
export async function machineDisk(): Promise<MachineDisk> {
  const kernel = await kernelPackage()
  const bootable = await debianBootTree()
  const parts = [RELEASE, packages, kernel.name, kernel.version, bootable, await ownFiles()]
  const key = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12)
  const directory = join(testDirectory, `vm-${key}`)
  await execa(
    join(here, 'make-disk.sh'),
    [directory, kernel.name, bootable, join(top, 'bin'), RELEASE, packages.join(',')],
    { stdin: 'ignore' },
  )
  return { disk: join(directory, 'disk.raw'), kernel: join(directory, 'vmlinuz') }
}

/** The kernel for virtual machines that the archive has now: ext4 and nvme are part of it, so it needs no initramfs. */
async function kernelPackage(): Promise<{ readonly name: string; readonly version: string }> {
  const { stdout } = await execa('apt-cache', ['depends', 'linux-image-cloud-amd64'])
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1]
  if (name === undefined) throw new Error('apt knows of no linux-image-cloud-amd64')
  const policy = await execa('apt-cache', ['policy', name], { env: { LC_ALL: 'C' } })
  return { name, version: /Candidate: (\S+)/.exec(policy.stdout)?.[1] ?? '' }
}

async function ownFiles(): Promise<readonly string[]> {
  const found = await readdir(here, { recursive: true, withFileTypes: true })
  return found
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.ts'))
    .map(({ parentPath, name }) => join(parentPath, name))
    .toSorted()
    .flatMap((path) => [path.slice(here.length), readFileSync(path, 'utf8')])
}
