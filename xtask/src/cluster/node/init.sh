# The first process of a node. Started in the node's cgroup of every hierarchy, in a new mount and a new cgroup
# namespace: from here on the node's cgroup is the root, as it is on a machine of its own.
#
# init.sh DIRECTORY-OF-THE-CLUSTER FILE-THAT-SAYS-READY PAUSE MOUNT-POINT:TYPE:OPTIONS…
set -eu
directory=$1 ready=$2 pause=$3
shift 3

# Containers may ask for mounts that are shared with their node; nothing of it reaches the host.
mount --make-rshared /

# Sockets, locks and namespaces of the node: gone with it. The kernel's filters are locked by file, one a node.
mount -t tmpfs -o mode=755 tmpfs /run
# Pins of the node's BPF programs: no other node's, though the kernel is the same.
mount -t bpf bpf /sys/fs/bpf

# kubelet sets what it wants of the kernel, which is not the node's: it sets copies, and the machine keeps its own.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes; do
    copy=/run/settings/${setting##*/}
    mkdir -p /run/settings
    cat "/proc/sys/$setting" > "$copy"
    mount --bind "$copy" "/proc/sys/$setting"
done

# kubelet and the network plugins also write where nobody can tell them not to: /var/log/containers, /var/lib/cni,
# /var/lib/kubelet/device-plugins. They may, and the host's /var stays as it is.
mkdir /run/var /run/var/upper /run/var/work /run/cluster
mount --bind "$directory" /run/cluster
mount -t overlay -o lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work overlay /var
case $directory in /var/*) mount --bind /run/cluster "$directory" ;; esac
umount /run/cluster

mkdir /run/links
find /sys/fs/cgroup -maxdepth 1 -type l -exec cp -P {} /run/links/ \;
umount --lazy --recursive /sys/fs/cgroup
for hierarchy in "$@"; do
    point=${hierarchy%%:*} rest=${hierarchy#*:}
    type=${rest%%:*} options=${rest#*:}
    if [ ! -d "$point" ]; then
        # A machine with version 1 hierarchies keeps them in folders of a tmpfs.
        grep -q ' /sys/fs/cgroup tmpfs ' /proc/self/mounts || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
        mkdir "$point"
    fi
    mount -t "$type" ${options:+-o "$options"} "$type" "$point"
    # No process may be where cgroups below are to have controllers.
    echo $$ > "$point/system/cgroup.procs"
done
find /run/links -type l -exec cp -P {} /sys/fs/cgroup/ \;
rm -r /run/links

: > "$ready"
exec "$pause"
