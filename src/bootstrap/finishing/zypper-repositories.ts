/** Repositories of a tree that zypper keeps up to date. */
import type { PlannedRepository, RpmArchive } from '../archives/rpm.ts'
import { keptRepoFile } from '../rpm/repo-file.ts'
import type { TreeFiles } from '../tree-files.ts'

const directory = '/etc/zypp/repos.d'

/** Repositories that the tree's own zypper takes; those that its packages bring say the same by other names. */
export function writeZypperRepositories(
  files: TreeFiles,
  { keptRepositories }: Pick<RpmArchive, 'keptRepositories'>,
): void {
  files.empty(directory)
  for (const repository of keptRepositories) {
    files.write(fileOf(repository), keptRepoFile(repository))
  }
}

function fileOf({ id }: PlannedRepository): string {
  return `${directory}/${id}.repo`
}
