/** Options that mount something into the container. */
import type { Draft } from '../draft.ts'
import type { Option } from '../option.ts'
import type { CustomMount } from '../settings.ts'
import { parseBind, parseInaccessible, parseOverlay, parseTmpfs } from '../values/mount-spec.ts'

function add(draft: Draft, mount: CustomMount): void {
  draft.settings.mounts = [...draft.settings.mounts, mount]
}

const bindDetails =
  'Repeatable. `\\:` is a colon in a path. `+` before the source means the tree of the container; an empty source is a temporary directory. Options, separated by commas: `rbind` (default), `norbind`, `noidmap` (default), `idmap`, `rootidmap`, `owneridmap`.'
const bindDiffers = 'An unknown mount option is refused before anything is started.'
const overlayDetails =
  'Repeatable. Lowest directory first, then the upper one, then the destination; with two paths the second is both. An empty upper directory is a temporary one.'

export const mountOptions: readonly Option[] = [
  {
    name: 'bind',
    value: 'required',
    placeholder: 'SOURCE[:DESTINATION[:OPTIONS]]',
    section: 'Mounts',
    group: 'custom-mounts',
    keys: [['Files', 'Bind']],
    help: 'Show a file or directory of the host in the container',
    details: bindDetails,
    differs: bindDiffers,
    read: (draft, text, { cwd }) => add(draft, parseBind(text, 'read-write', cwd)),
  },
  {
    name: 'bind-ro',
    value: 'required',
    placeholder: 'SOURCE[:DESTINATION[:OPTIONS]]',
    section: 'Mounts',
    group: 'custom-mounts',
    keys: [['Files', 'BindReadOnly']],
    help: 'The same, read-only',
    details: bindDetails,
    differs: bindDiffers,
    read: (draft, text, { cwd }) => add(draft, parseBind(text, 'read-only', cwd)),
  },
  {
    name: 'inaccessible',
    value: 'required',
    placeholder: 'PATH',
    section: 'Mounts',
    group: 'custom-mounts',
    keys: [['Files', 'Inaccessible']],
    help: 'Cover a path of the container by something that cannot be opened',
    read: (draft, text) => add(draft, parseInaccessible(text)),
  },
  {
    name: 'tmpfs',
    value: 'required',
    placeholder: 'PATH[:OPTIONS]',
    section: 'Mounts',
    group: 'custom-mounts',
    keys: [['Files', 'TemporaryFileSystem']],
    help: 'Mount a temporary file system in the container',
    details: 'Repeatable. Without options the directory has mode 0755.',
    read: (draft, text) => add(draft, parseTmpfs(text)),
  },
  {
    name: 'overlay',
    value: 'required',
    placeholder: 'LOWER[:LOWER…]:UPPER[:DESTINATION]',
    section: 'Mounts',
    group: 'custom-mounts',
    keys: [['Files', 'Overlay']],
    help: 'Mount directories on top of each other; changes go to the upper one',
    details: overlayDetails,
    read: (draft, text, { cwd }) => add(draft, parseOverlay(text, 'read-write', cwd)),
  },
  {
    name: 'overlay-ro',
    value: 'required',
    placeholder: 'LOWER[:LOWER…]:UPPER[:DESTINATION]',
    section: 'Mounts',
    group: 'custom-mounts',
    keys: [['Files', 'OverlayReadOnly']],
    help: 'The same, read-only',
    details: overlayDetails,
    read: (draft, text, { cwd }) => add(draft, parseOverlay(text, 'read-only', cwd)),
  },
]
