/** The verbs, in the order that help shows them. A verb's file is loaded when it is called for. */
import type { VerbModule } from './context.ts'

export interface Verb {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<VerbModule>
}

export const verbs: readonly Verb[] = [
  {
    name: 'create',
    summary: 'make an OS tree from a recipe',
    load: () => import('./commands/create.ts'),
  },
  {
    name: 'update',
    summary: 'upgrade the packages of images',
    load: () => import('./commands/update.ts'),
  },
  {
    name: 'recipes',
    summary: 'show the recipes, and how each would be made on this host',
    load: () => import('./commands/recipes.ts'),
  },
  {
    name: 'build',
    summary: 'build a source package, or any directory, in throw-away containers',
    load: () => import('./commands/build.ts'),
  },
  {
    name: 'test',
    summary: 'run tests in throw-away copies of images',
    load: () => import('./commands/test.ts'),
  },
  {
    name: 'builds',
    summary: 'list the builds that run, and those that have ended',
    load: () => import('./commands/builds.ts'),
  },
  {
    name: 'log',
    summary: 'print what a build has said',
    load: () => import('./commands/log.ts'),
  },
  {
    name: 'attach',
    summary: 'show what a running build says, or open a shell in it',
    load: () => import('./commands/attach.ts'),
  },
  {
    name: 'report',
    summary: 'write a page about builds: times as bars, logs linked',
    load: () => import('./commands/report.ts'),
  },
  {
    name: 'layers',
    summary: 'list what builds have installed once and kept',
    load: () => import('./commands/layers.ts'),
  },
  {
    name: 'run',
    summary: 'run a command in a throw-away copy of an image',
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'list-images',
    summary: 'list the images',
    load: () => import('./commands/images.ts'),
  },
  {
    name: 'images',
    summary: 'the same as list-images',
    load: () => import('./commands/images.ts'),
  },
  {
    name: 'image-status',
    summary: 'show what an image is',
    load: () => import('./commands/image-status.ts'),
  },
  {
    name: 'show-image',
    summary: 'show properties of images',
    load: () => import('./commands/show-image.ts'),
  },
  {
    name: 'dissect',
    summary: 'show what is in a disk image',
    load: () => import('./commands/dissect.ts'),
  },
  {
    name: 'mount',
    summary: 'mount a disk image',
    load: () => import('./commands/mount.ts'),
  },
  {
    name: 'umount',
    summary: 'unmount a disk image',
    load: () => import('./commands/umount.ts'),
  },
  {
    name: 'clone',
    summary: 'make a second image of a first',
    load: () => import('./commands/clone.ts'),
  },
  {
    name: 'rename',
    summary: 'rename an image',
    load: () => import('./commands/rename.ts'),
  },
  {
    name: 'read-only',
    summary: 'mark an image read-only',
    load: () => import('./commands/read-only.ts'),
  },
  {
    name: 'remove',
    summary: 'remove images',
    load: () => import('./commands/remove.ts'),
  },
  {
    name: 'set-limit',
    summary: 'limit the space of an image, or of all',
    load: () => import('./commands/set-limit.ts'),
  },
  {
    name: 'clean',
    summary:
      'remove hidden images, or all, parts of downloads, left-overs, and of what builds and pulls keep what is old',
    load: () => import('./commands/clean.ts'),
  },
  {
    name: 'edit',
    summary: 'edit settings of machines',
    load: () => import('./commands/edit.ts'),
  },
  {
    name: 'cat',
    summary: 'print settings of machines',
    load: () => import('./commands/cat.ts'),
  },
  {
    name: 'list',
    summary: 'list the machines that run',
    load: () => import('./commands/list.ts'),
  },
  {
    name: 'status',
    summary: 'show what a machine is and does',
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'show',
    summary: 'show properties of machines',
    load: () => import('./commands/show.ts'),
  },
  {
    name: 'poweroff',
    summary: 'ask machines to shut down',
    load: () => import('./commands/poweroff.ts'),
  },
  {
    name: 'stop',
    summary: 'the same as poweroff',
    load: () => import('./commands/poweroff.ts'),
  },
  {
    name: 'reboot',
    summary: 'ask machines to restart',
    load: () => import('./commands/reboot.ts'),
  },
  {
    name: 'terminate',
    summary: 'end machines at once',
    load: () => import('./commands/terminate.ts'),
  },
  {
    name: 'kill',
    summary: 'send a signal to the processes of machines',
    load: () => import('./commands/kill.ts'),
  },
  {
    name: 'shell',
    summary: 'run a shell or a command in a machine',
    load: () => import('./commands/shell.ts'),
  },
  {
    name: 'login',
    summary: 'get a login prompt in a machine',
    load: () => import('./commands/login.ts'),
  },
  {
    name: 'start',
    summary: 'start machines in the background',
    load: () => import('./commands/start.ts'),
  },
  {
    name: 'enable',
    summary: 'have machines start with the host',
    load: () => import('./commands/enable.ts'),
  },
  {
    name: 'disable',
    summary: 'have machines no longer start with the host',
    load: () => import('./commands/disable.ts'),
  },
  {
    name: 'copy-to',
    summary: 'copy files from the host to a machine',
    load: () => import('./commands/copy-to.ts'),
  },
  {
    name: 'copy-from',
    summary: 'copy files from a machine to the host',
    load: () => import('./commands/copy-from.ts'),
  },
  {
    name: 'bind',
    summary: 'show a file or directory of the host in a machine',
    load: () => import('./commands/bind.ts'),
  },
  {
    name: 'pull-tar',
    summary: 'fetch a tree from a server',
    load: () => import('./commands/pull-tar.ts'),
  },
  {
    name: 'pull-raw',
    summary: 'fetch a disk image from a server',
    load: () => import('./commands/pull-raw.ts'),
  },
  {
    name: 'pull-oci',
    summary: 'fetch an image from a registry',
    load: () => import('./commands/pull-oci.ts'),
  },
  {
    name: 'list-transfers',
    summary: 'list the transfers under way',
    load: () => import('./commands/list-transfers.ts'),
  },
  {
    name: 'cancel-transfer',
    summary: 'end transfers, whoever started them',
    load: () => import('./commands/cancel-transfer.ts'),
  },
  {
    name: 'import-tar',
    summary: 'make an image from a tar archive',
    load: () => import('./commands/import-tar.ts'),
  },
  {
    name: 'import-raw',
    summary: 'make an image from a disk image file',
    load: () => import('./commands/import-raw.ts'),
  },
  {
    name: 'import-fs',
    summary: 'make an image from a directory',
    load: () => import('./commands/import-fs.ts'),
  },
  {
    name: 'export-tar',
    summary: 'write a tree to a tar archive',
    load: () => import('./commands/export-tar.ts'),
  },
  {
    name: 'export-raw',
    summary: 'write a disk image to a file',
    load: () => import('./commands/export-raw.ts'),
  },
  {
    name: 'completion',
    summary: 'print completion for bash, zsh or fish',
    load: () => import('./commands/completion.ts'),
  },
]
