#!/bin/sh
# Makes the disk and the kernel of the machine once:
# make-disk.sh DIRECTORY KERNEL-PACKAGE BOOTABLE-TREE BIN RELEASE PACKAGES
# Runs that want the same one wait for each other; what a killed run left half made is removed.
set -eu

directory=$1 kernel=$2 bootable=$3 bin=$4 release=$5 packages=$6
here=$(dirname "$(realpath "$0")")

mkdir -p "$(dirname "$directory")"
exec 9>"$directory.lock"
flock 9
[ ! -d "$directory" ] || exit 0
work=$directory.tmp
rm -rf "$work"
mkdir -p "$work/kernel"

"$bin/tsnspawn-build.cjs" --machines-dir "$work" --state-dir "$work/state" \
  create debian tree --release "$release" --variant boot --include "$packages" >&2
tree=$work/tree
inner=$tree/var/lib/machines/inner

# The kernel is unpacked only: its scripts would make an initramfs and look for a boot loader.
fetch() {
  (cd "$work/kernel" && apt-get download --quiet=2 -o APT::Sandbox::User=root "$kernel") >&2
}
# What the host knows of the archive may be older than the archive.
fetch || { apt-get update --quiet=2 >&2 && fetch; }
dpkg-deb --fsys-tarfile "$work/kernel"/*.deb | tar -x -C "$tree" --keep-directory-symlink
version=$(ls "$tree/lib/modules")
mv "$tree/boot/vmlinuz-$version" "$work/vmlinuz"

within() {
  root=$1
  shift
  "$bin/tsnspawn.cjs" --quiet --register=no --console=pipe -D "$root" "$@" >&2 </dev/null
}
within "$tree" depmod "$version"
cp -a "$bootable" "$inner"
within "$inner" systemctl --quiet enable systemd-networkd.service

cp -r --no-preserve=mode,ownership "$here/files/." "$tree"
mkdir -p "$tree/project"
ln -s /project/node "$tree/usr/local/bin/node"
# Nothing here is new, so systemd need not look after a first boot.
tr -d - </proc/sys/kernel/random/uuid >"$tree/etc/machine-id"
within "$tree" systemctl --quiet enable \
  systemd-networkd.service vm-lane@disks.service vm-lane@system.service
within "$tree" systemctl --quiet mask systemd-networkd-wait-online.service getty@tty1.service \
  serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service

rm -rf "$tree/usr/share/doc" "$tree/usr/share/locale" "$tree/usr/share/man" "$tree/boot"
rm -rf "$tree/var/cache/apt" "$tree/var/lib/apt/lists"
truncate --size=4G "$work/disk.raw"
# Every run throws away what it has written, so there is nothing for a journal to save.
mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=0 -d "$tree" "$work/disk.raw"
rm -rf "$tree" "$work/state" "$work/kernel" "$work"/.tree*
mv "$work" "$directory"
