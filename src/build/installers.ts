/** The package managers that can install into build containers. */
import { apt } from './installers/apt.ts'
import { dnf, dnf5 } from './installers/dnf.ts'
import { zypper } from './installers/zypper.ts'
import type { Installer } from './installers/installer.ts'
import { pacman } from './installers/pacman.ts'

/** Most particular first: a tree of another family may have one of the others as a tool. */
const installers: readonly Installer[] = [apt, pacman, zypper, dnf5, dnf]

/** The package manager of the tree at `root`; `undefined` when it has none that we know. */
export function installerOf(root: string): Installer | undefined {
  return installers.find((installer) => installer.isIn(root))
}
